//! Real clients. One that is not installed fails its tests, unless the run was told to leave it out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The path of a program of the tools folder, as `tool("clients", "bin/aws")`.
///
/// None: it is not there and the run was started to leave it out, which is said loudly.
pub fn tool(folder: &str, program: &str) -> Option<PathBuf> {
    let tools = std::env::var_os("OUTLAST_TOOLS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools"), PathBuf::from);
    let path = tools.join(folder).join(program);
    if path.exists() {
        return Some(path);
    }
    let left_out = std::env::var("OUTLAST_NO_INSTALL_SKIP").unwrap_or_default();
    if left_out.split(',').any(|name| name == folder) {
        eprintln!("LEFT OUT: {program} of {folder} is not installed, and this run installs nothing");
        return None;
    }
    panic!("{} is not there: run `cargo xtask test`, which installs it", path.display());
}

/// aws-cli with its own retries off, so that no failure is hidden by it.
pub struct Aws {
    program: PathBuf,
    dir: PathBuf,
    endpoint: String,
    access_key: String,
    secret_key: String,
}

impl Aws {
    /// None: not installed, and left out.
    pub fn new(dir: &Path, endpoint: &str, access_key: &str, secret_key: &str) -> Option<Aws> {
        let program = tool("clients", "bin/aws")?;
        // Otherwise it presigns with the old signature, which is refused.
        std::fs::write(dir.join("aws.config"), "[default]\ns3 =\n    signature_version = s3v4\n").expect("written");
        Some(Aws {
            program,
            dir: dir.to_owned(),
            endpoint: endpoint.to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
        })
    }

    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(["--endpoint-url", &self.endpoint, "--output", "json"]).args(args);
        command.current_dir(&self.dir).stdin(Stdio::null());
        command
            .env("HOME", &self.dir)
            .env("AWS_CONFIG_FILE", self.dir.join("aws.config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command.env("AWS_ACCESS_KEY_ID", &self.access_key).env("AWS_SECRET_ACCESS_KEY", &self.secret_key);
        command.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_PAGER", "");
        command.env("AWS_MAX_ATTEMPTS", "1").env("AWS_RETRY_MODE", "standard").env_remove("AWS_ENDPOINT_URL");
        command.output().expect("aws-cli starts")
    }

    /// Succeeds, and says this on stdout.
    pub fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "aws {}: {}\n{stderr}", args.join(" "), output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Fails, and says why on stderr.
    pub fn bad(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "aws {} should fail", args.join(" "));
        stderr
    }
}
