//! Fuzz targets: every key comes back from the name that it was given, no two share one, and a listing by a prefix misses none.

use super::*;

fn area_of(name: &str) -> Area {
    here(name).expect("a name that was just made").0
}

#[test]
fn keys() {
    bolero::check!(name = "azure-keys").with_type::<(String, String)>().for_each(|(key, other)| {
        let name = there(key);
        assert_eq!(here(&name).map(|(_, key)| key).as_ref(), Some(key));
        assert_eq!(there(other) == name, other == key, "{other:?} and {key:?} are both {name:?}");
        // Within a range of names, the order is that of the keys.
        let other_name = there(other);
        if area_of(&name) == area_of(&other_name) {
            assert_eq!(name.cmp(&other_name), key.as_bytes().cmp(other.as_bytes()), "{key:?} and {other:?}");
        }
        // Whoever lists by any beginning of a key finds it.
        let beginnings = key.char_indices().map(|(at, _)| &key[..at]).chain([key.as_str()]);
        for prefix in beginnings.take(64) {
            let listed = [Area::Plain, Area::Escaped, Area::Packed]
                .into_iter()
                .any(|area| area == area_of(&name) && name.starts_with(prefix_there(area, prefix).as_str()));
            assert!(listed, "{key:?} is not found by {prefix:?}");
        }
    });
}

/// What others put into our ranges is nobody's, or the one key whose name it is.
#[test]
fn names() {
    bolero::check!(name = "azure-names").with_type::<String>().for_each(|name| {
        let Some((area, key)) = here(name) else { return };
        if area != Area::Plain {
            assert_eq!(&there(&key), name, "two names for {key:?}");
        }
    });
}
