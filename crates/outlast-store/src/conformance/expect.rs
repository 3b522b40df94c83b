//! What the suite asks of one kind of store.

use outlast_rules::{Grades, Powers};

/// What this store claims; what is claimed is tested, and nothing else is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    pub grades: Grades,
    /// Refuses a body whose MD5 isn't the one said.
    pub checks_md5: bool,
    /// Headers, metadata and stamps come back.
    pub keeps_metadata: bool,
    /// If-Match holds on GET.
    pub pins_reads: bool,
    /// The condition on a copy's source holds.
    pub pins_copies: bool,
    pub keys: Keys,
    /// Size of all parts but the last.
    pub part_bytes: usize,
    /// Bytes of the largest body that is sent.
    pub large_body_bytes: usize,
    /// Keys of the longest listing; over 1,000 to see pages.
    pub many_keys: usize,
    /// How often a race is run.
    pub races: usize,
    /// Open uploads of a bucket can be listed.
    pub lists_uploads: bool,
    /// Part and Complete of an upload that is gone are refused in words, not with a 500.
    pub names_missing_uploads: bool,
    /// Noncurrent versions can be listed.
    pub lists_versions: bool,
}

/// Which keys are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Everything that S3 allows.
    All,
    /// All but keys that begin with a slash: Garage drops it, so that `/a` and `a` are one.
    NoLeadingSlash,
    /// Not `a//b`, `/a`, `a/`, `..`, or `a` beside `a/b`: stores that map keys to a file system plainly.
    Pathlike,
}

impl Expect {
    /// Everything that a store kept on this machine can be asked for.
    pub fn everything(grades: Grades) -> Expect {
        Expect {
            grades,
            checks_md5: false,
            keeps_metadata: true,
            pins_reads: true,
            pins_copies: true,
            keys: Keys::All,
            part_bytes: 300_000,
            large_body_bytes: 20 * 1024 * 1024 + 17,
            many_keys: 1_203,
            races: 20,
            lists_uploads: true,
            names_missing_uploads: true,
            lists_versions: grades.put.pinned,
        }
    }

    /// What an S3 service over a network is asked for: S3's smallest part, fewer rounds.
    pub fn s3(grades: Grades) -> Expect {
        Expect { part_bytes: 5 * 1024 * 1024, races: 5, ..Expect::everything(grades) }
    }

    /// The same powers for each operation.
    pub fn grades(powers: Powers) -> Grades {
        Grades { put: powers, complete: powers, copy: powers, delete: powers }
    }
}
