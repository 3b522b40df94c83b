//! Fuzz target: documents that Azure, or a proxy on the way, may send.

use super::*;

#[test]
fn answers() {
    bolero::check!(name = "azure-answers").for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let (mut held, mut deepest) = (0, 0);
        let whole = read(text, "EnumerationResults", |ended| {
            held += ended.text.len();
            deepest = deepest.max(ended.path.len());
        });
        // Nothing is told that did not stand in the text.
        assert!(held <= text.len() && deepest <= DEPTH_MAX, "{held} bytes out of {}, {deepest} deep", text.len());
        if whole.is_ok() {
            // What was cut on the way is no listing: its end would look as the end of the bucket.
            let text = text.trim_end();
            let end = text.rfind("</").unwrap_or(0);
            for cut in (0..=end).rev().take(64).filter(|at| text.is_char_boundary(*at)) {
                assert!(read(&text[..cut], "EnumerationResults", |_| {}).is_err(), "cut at {cut}: {text}");
            }
        }
    });
}
