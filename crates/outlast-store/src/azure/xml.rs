//! The XML that Azure speaks: listings to read, a block list to write. Names may begin and end with spaces, which readers
//! that fill structs take away; so it is read event by event.

use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The deepest thing that is read lies five deep. Whoever listens is told the whole path of each element.
const DEPTH_MAX: usize = 16;

/// Documents may begin with a byte order mark.
pub(super) fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// One element that has ended.
pub(super) struct Ended<'a> {
    /// From the root to itself.
    pub path: &'a [String],
    /// Its own text, whole.
    pub text: &'a str,
}

struct Open {
    text: String,
    encoded: bool,
}

/// Tells every element of a whole document as it ends. An error for another root, or a document that is cut.
pub(super) fn read(text: &str, root: &str, mut ended: impl FnMut(Ended<'_>)) -> Result<(), String> {
    let mut reader = Reader::from_str(without_mark(text));
    let (mut path, mut open): (Vec<String>, Vec<Open>) = (Vec::new(), Vec::new());
    let mut seen_root = false;
    loop {
        match reader.read_event().map_err(|error| format!("not readable: {error}"))? {
            Event::Start(start) => {
                begin(&start, root, &mut path, &mut open)?;
                seen_root = true;
            }
            Event::Empty(start) => {
                begin(&start, root, &mut path, &mut open)?;
                seen_root = true;
                end(&mut path, &mut open, &mut ended)?;
            }
            Event::End(_) => end(&mut path, &mut open, &mut ended)?,
            Event::Text(piece) => push(&mut open, &piece),
            Event::CData(piece) => push(&mut open, &piece),
            Event::GeneralRef(name) => {
                let character = match &*name {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => name.resolve_char_ref().ok().flatten().ok_or_else(|| format!("&{}; is not known", &*name))?,
                };
                push(&mut open, character.encode_utf8(&mut [0; 4]));
            }
            Event::Eof if path.is_empty() && seen_root => return Ok(()),
            Event::Eof => return Err("the document is cut".to_owned()),
            _ => {}
        }
    }
}

fn begin(start: &BytesStart<'_>, root: &str, path: &mut Vec<String>, open: &mut Vec<Open>) -> Result<(), String> {
    let name = start.local_name().as_ref().to_owned();
    if path.len() >= DEPTH_MAX {
        return Err(format!("elements more than {DEPTH_MAX} deep"));
    }
    if path.is_empty() && name != root {
        return Err(format!("a {name} document where {root} was due"));
    }
    let encoded = start
        .attributes()
        .flatten()
        .any(|attribute| attribute.key.as_ref() == "Encoded" && &*attribute.value == "true");
    path.push(name);
    open.push(Open { text: String::new(), encoded });
    Ok(())
}

fn end(path: &mut Vec<String>, open: &mut Vec<Open>, ended: &mut impl FnMut(Ended<'_>)) -> Result<(), String> {
    let Open { mut text, encoded } = open.pop().ok_or("an end without a beginning")?;
    if encoded {
        let decoded = percent_decode_str(&text).decode_utf8().map_err(|_| format!("{text:?} is not UTF-8"))?;
        text = decoded.into_owned();
    }
    ended(Ended { path, text: &text });
    path.pop();
    Ok(())
}

fn push(open: &mut [Open], text: &str) {
    if let Some(last) = open.last_mut() {
        last.text.push_str(text);
    }
}

/// Which blocks, in which order; the newest of each id, whether it was committed before or not.
pub(super) fn block_list(ids: &[String]) -> String {
    let blocks: String = ids.iter().map(|id| format!("<Latest>{id}</Latest>")).collect();
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{blocks}</BlockList>")
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut all = Vec::new();
        read(text, "R", |ended| all.push((ended.path.join("/"), ended.text.to_owned())))?;
        Ok(all)
    }

    #[test]
    fn names_come_back_as_they_are() {
        let text = "\u{feff}<?xml version=\"1.0\"?><R><N> a &amp;&#x1F408;<![CDATA[<b>]]> </N><E/>\
            <N Encoded=\"true\">%01%2F</N></R>";
        let expected = [("R/N", " a &🐈<b> "), ("R/E", ""), ("R/N", "\u{1}/"), ("R", "")];
        let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(told(text).as_deref(), Ok(&expected[..]));
    }

    #[test]
    fn what_is_no_whole_document() {
        for bad in [
            "<R><N>",
            "<R><N></R>",
            "<html></html>",
            "",
            "words",
            "<R>&nbsp;</R>",
            "<R><N Encoded=\"true\">%ff</N></R>",
            &("<R>".repeat(100) + &"</R>".repeat(100)),
        ] {
            assert!(told(bad).is_err(), "{bad}");
        }
    }
}
