//! XML answers: a document with the root that was due, or the store's own words of an error.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A document whose root has this name; what else it holds is checked by its type. A page of a proxy, read without
/// looking at its root, would be an empty listing. moto ends names with `Response` where S3 says `Result`,
/// rclone leaves the ending of some out.
pub(crate) fn parse_xml<T: DeserializeOwned>(text: &str, root: &str) -> Result<T, String> {
    match root_of(text) {
        Some(found) if is_named(&found, root) => {
            quick_xml::de::from_str(text.trim()).map_err(|e| format!("not readable: {e}"))
        }
        Some(found) => Err(format!("a {found} document where {root} was due")),
        None => Err("no XML document".to_owned()),
    }
}

fn is_named(found: &str, root: &str) -> bool {
    let base = found.strip_suffix("Response").unwrap_or(found);
    found == root || root.strip_suffix("Result") == Some(base)
}

/// The local name of the root element.
fn root_of(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text.trim());
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) | Event::Empty(start) => {
                return Some(start.local_name().as_ref().to_owned());
            }
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Text(blank) if blank.trim().is_empty() => {}
            _ => return None,
        }
    }
}

/// The store's own words when it says no.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ErrorDocument {
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
    /// Where the service says that another one was meant.
    pub region: Option<String>,
}

impl ErrorDocument {
    /// Only a whole `<Error>` with a code counts as the store's own answer.
    pub fn read(text: &str) -> Option<ErrorDocument> {
        parse_xml(text, "Error").ok().filter(|document: &ErrorDocument| !document.code.is_empty())
    }
}

pub(crate) fn bare(etag: &str) -> String {
    etag.trim().trim_start_matches("W/").trim_matches('"').to_owned()
}
