//! What a copy carries besides its bytes, to and from the service's JSON (docs/decisions/0013-gcs.md).

use crate::wire::{NO_TYPE, xml_date};
use crate::{Dress, Found, STAMP_NAME};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outlast_rules::{Head, Pin, Stamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The service has no Expires. A client's own item of this name, and those that only add hyphens, get one hyphen more.
const EXPIRES: &str = "outlast-expires";

/// An object as it is told to the service.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5_hash: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

impl Told {
    pub fn of(dress: &Dress) -> Told {
        let head = &dress.head;
        let mut metadata: BTreeMap<String, String> =
            head.metadata.iter().map(|(name, value)| (spelt(name), value.clone())).collect();
        if let Some(expires) = &head.expires {
            metadata.insert(EXPIRES.to_owned(), expires.clone());
        }
        if let Some(stamp) = &dress.stamp {
            metadata.insert(STAMP_NAME.to_owned(), stamp.encode());
        }
        Told {
            content_type: head.content_type.clone().unwrap_or_else(|| NO_TYPE.to_owned()),
            content_encoding: head.content_encoding.clone(),
            content_disposition: head.content_disposition.clone(),
            content_language: head.content_language.clone(),
            cache_control: head.cache_control.clone(),
            metadata,
            ..Told::default()
        }
    }

    pub fn md5(mut self, md5: Option<[u8; 16]>) -> Told {
        self.md5_hash = md5.map(|md5| STANDARD.encode(md5));
        self
    }

    pub fn named(mut self, name: &str) -> Told {
        self.name = Some(name.to_owned());
        self
    }
}

/// An object as the service tells it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Shown {
    pub name: String,
    pub generation: String,
    pub size: String,
    content_type: Option<String>,
    content_encoding: Option<String>,
    content_disposition: Option<String>,
    content_language: Option<String>,
    cache_control: Option<String>,
    pub updated: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

impl Shown {
    /// Numbers are texts in JSON, and an answer without them is none.
    pub fn pin(&self) -> Result<Pin, &'static str> {
        if self.generation.is_empty() || !self.generation.bytes().all(|b| b.is_ascii_digit()) {
            return Err("an object without a generation");
        }
        // A generation names one write to the key. Older ones are not used (docs/decisions/0013-gcs.md).
        Ok(Pin { etag: self.generation.clone(), version: None })
    }

    pub fn found(&self) -> Result<Found, &'static str> {
        let size = self.size.parse().map_err(|_| "an object without a size")?;
        let modified = self.updated.as_deref().and_then(xml_date);
        Ok(Found { pin: self.pin()?, size, dress: self.dress(), modified })
    }

    /// Metadata called `outlast` that is no stamp of ours counts as absent.
    fn dress(&self) -> Dress {
        let stamp = self.metadata.get(STAMP_NAME).and_then(|text| Stamp::parse(text).ok());
        let mut head = Head {
            content_type: self.content_type.clone().filter(|one| one != NO_TYPE),
            content_encoding: self.content_encoding.clone(),
            content_disposition: self.content_disposition.clone(),
            content_language: self.content_language.clone(),
            cache_control: self.cache_control.clone(),
            ..Head::default()
        };
        for (name, value) in &self.metadata {
            match name.as_str() {
                STAMP_NAME => {}
                EXPIRES => head.expires = Some(value.clone()),
                _ => drop(head.metadata.insert(read(name), value.clone())),
            }
        }
        Dress { head, stamp }
    }
}

fn only_adds_hyphens(name: &str) -> bool {
    name.strip_prefix(EXPIRES).is_some_and(|rest| rest.bytes().all(|b| b == b'-'))
}

fn spelt(name: &str) -> String {
    if only_adds_hyphens(name) { format!("{name}-") } else { name.to_owned() }
}

fn read(name: &str) -> String {
    let own = only_adds_hyphens(name).then(|| name.strip_suffix('-')).flatten();
    own.unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_comes_back() {
        let metadata = [("x-y_z", "a  b ü"), (EXPIRES, "e"), ("outlast-expires-", "f"), ("outlast-expires-x", "g")];
        let head = Head {
            content_type: Some("text/plain".into()),
            content_encoding: Some("br".into()),
            expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".into()),
            metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Head::default()
        };
        for head in [head, Head::default()] {
            let dress = Dress { head, stamp: None };
            let mut text = serde_json::to_value(Told::of(&dress)).expect("JSON");
            text["generation"] = "7".into();
            text["size"] = "3".into();
            text["updated"] = "1970-01-01T00:00:01Z".into();
            let shown: Shown = serde_json::from_value(text).expect("readable");
            let found = shown.found().expect("whole");
            assert_eq!((found.dress, found.size, found.pin.etag.as_str()), (dress, 3, "7"));
        }
    }

    #[test]
    fn what_is_no_object() {
        for text in ["{}", r#"{"generation":"7"}"#, r#"{"generation":"x","size":"1"}"#, r#"{"size":"1"}"#] {
            let shown: Shown = serde_json::from_str(text).expect("JSON");
            assert!(shown.found().is_err(), "{text}");
        }
    }
}
