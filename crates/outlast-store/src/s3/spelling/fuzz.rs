//! Fuzz target: on a service that is an Outlast itself, no name of ours is one of its own, and no two names are one.

use super::*;
use bolero::TypeGenerator;

const BEGINNINGS: [&str; 8] =
    ["", ".outlast", ".outlast/", ".outlast-upper", ".outlast-upper/", ".outlast-upper-upper/", "outlast", "-upper"];

/// A key, begun with what matters here.
#[derive(Debug, TypeGenerator)]
struct Name {
    beginning: u8,
    further: u8,
    rest: String,
}

impl Name {
    fn text(&self) -> String {
        let word = |at: u8| BEGINNINGS[usize::from(at) % BEGINNINGS.len()];
        format!("{}{}{}", word(self.beginning), word(self.further), self.rest)
    }
}

#[test]
fn keys() {
    bolero::check!(name = "spelling").with_type::<(Name, Name)>().for_each(|(a, b)| {
        let (a, b) = (a.text(), b.text());
        let (usual, nested) = (Spelling::new(false), Spelling::new(true));
        assert_eq!(usual.there(&a), a);
        assert_eq!(usual.here(a.clone()), a);
        let there = nested.there(&a).into_owned();
        assert!(!there.starts_with(USUAL), "{a:?} becomes {there:?}, which the service keeps for itself");
        assert_eq!(nested.here(there.clone()), a, "{a:?} comes back from {there:?}");
        assert_eq!(a == b, there == nested.there(&b), "{a:?} and {b:?}");
        // A listing's prefix is spelt by itself, so it must be the beginning of what its keys become.
        for (at, _) in a.match_indices('/') {
            let prefix = &a[..=at];
            assert!(there.starts_with(nested.there(prefix).as_ref()), "{prefix:?} of {a:?}");
        }
        let metadata = nested.metadata_there(&a).into_owned();
        assert_ne!(metadata, STAMP_NAME);
        assert_eq!(nested.metadata_here(&metadata), a);
    });
}
