//! Clients as processes: Python scripts over boto3, rclone, restic, s3cmd, curl. None of them may try twice.

use crate::gateway::Gateway;
use crate::tools::tool;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// The key of every gateway of these tests.
pub const ACCESS_KEY: &str = "OUTLASTOFTESTS";
pub const SECRET_KEY: &str = "long-enough-for-every-client-there-is";

/// A program of the system. None: it is not installed, and left out.
pub fn system_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists());
    // Not there: the same words, and the same way to leave it out, as for every tool.
    found.or_else(|| tool(name, name))
}

/// Runs it to its end, and gives what it said on stdout. Anything but success fails the test with all that it said.
pub fn good(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Python with boto3. None: left out.
pub fn python() -> Option<PathBuf> {
    tool("clients", "bin/python")
}

/// A Python script from its text, with these arguments.
pub fn script(python: &Path, text: &str, args: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg("-c").arg(text).args(args).env("AWS_CONFIG_FILE", "/dev/null");
    command.env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null").env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// rclone against the gateway, its retries off. None: left out.
pub struct Rclone(PathBuf, String);

impl Rclone {
    /// `endpoint`: of the gateway, or of what passes on to it.
    pub fn new(endpoint: &str) -> Option<Rclone> {
        let remote = format!(
            ":s3,provider=Other,env_auth=false,access_key_id={ACCESS_KEY},secret_access_key={SECRET_KEY},\
             endpoint='{endpoint}':"
        );
        Some(Rclone(tool("rclone", "bin/rclone")?, remote))
    }

    /// A path in the gateway: `bucket/prefix`.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.1)
    }

    pub fn good(&self, args: &[&str]) -> String {
        let mut command = Command::new(&self.0);
        command.args(["--config=/dev/null", "--retries=1", "--low-level-retries=1"]).args(args);
        good(&mut command)
    }
}

/// s3cmd against the gateway, its retries off. None: left out.
pub struct S3cmd(PathBuf, PathBuf);

impl S3cmd {
    /// `endpoint`: of the gateway, or of what passes on to it.
    pub fn new(dir: &Path, endpoint: &str) -> Option<S3cmd> {
        let host = endpoint.strip_prefix("http://").expect("plain http");
        let text = format!(
            "[default]\naccess_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\nhost_base = {host}\nhost_bucket = {host}\n\
             use_https = False\nmax_retries = 0\n"
        );
        std::fs::write(dir.join("s3cfg"), text).expect("written");
        Some(S3cmd(tool("clients", "bin/s3cmd")?, dir.to_owned()))
    }

    pub fn good(&self, args: &[&str]) -> String {
        good(Command::new(&self.0).args(["-c", "s3cfg", "--no-progress"]).args(args).current_dir(&self.1))
    }
}

/// The mixed load of `load.py`, while it runs. Dropped, it is killed.
pub struct Load {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    pub now: Progress,
}

/// How far the load is.
#[derive(Debug, Default, Clone, serde::Deserialize)]
pub struct Progress {
    pub ops: u64,
    /// Whole downloads of the large object.
    pub films: u64,
    pub uploads: u64,
    pub errors: Vec<serde_json::Value>,
}

/// What the load saw, and what must be there now.
#[derive(Debug, serde::Deserialize)]
pub struct Report {
    pub ops: BTreeMap<String, u64>,
    pub errors: Vec<serde_json::Value>,
    /// Seconds, by kind of request.
    pub first_byte: BTreeMap<String, Slowest>,
    pub pause: BTreeMap<String, Slowest>,
    /// How many times longer than alone a process took on this machine: others wanted its processors too.
    pub slowdown: f64,
    pub bytes: u64,
    /// key -> SHA-256
    pub keys: BTreeMap<String, String>,
    /// key -> what it carries
    pub dress: BTreeMap<String, Dress>,
}

/// Content type and user metadata.
pub type Dress = (String, BTreeMap<String, String>);

#[derive(Debug, serde::Deserialize)]
pub struct Slowest {
    pub s: f64,
    /// Seconds after the start.
    pub at: f64,
}

impl Load {
    pub fn start(python: &Path, gateway: &Gateway, bucket: &str, seed: &str) -> Load {
        let text = include_str!("../interop/load.py");
        let mut command = script(python, text, &[&gateway.s3, ACCESS_KEY, SECRET_KEY, bucket, seed]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Load { child, stdin, lines, now: Progress::default() }
    }

    /// Until it has come so far. An error that the client saw is told at once: nothing good comes after it, and what is asked
    /// next would only hide it.
    pub fn until(&mut self, far_enough: impl Fn(&Progress) -> bool) {
        while !far_enough(&self.now) {
            let line = self.lines.recv_timeout(std::time::Duration::from_secs(30)).expect("the load goes on");
            self.now = serde_json::from_str(&line).expect("it tells its progress");
            assert!(self.now.errors.is_empty(), "clients saw errors: {:#?}", self.now.errors);
        }
    }

    /// Plays on: as much again as an act has.
    pub fn act(&mut self, act: &Progress) {
        let from = self.now.clone();
        self.until(|now| {
            now.ops >= from.ops + act.ops
                && now.films >= from.films + act.films
                && now.uploads >= from.uploads + act.uploads
        });
    }

    /// Lets every request end, reads everything once more, and reports.
    pub fn end(mut self) -> Report {
        let mut stdin = self.stdin.take().expect("it ends once");
        stdin.write_all(b"end\n").expect("it listens");
        let last = self.lines.iter().last().expect("it reports");
        assert!(self.child.wait().expect("it ends").success(), "the load script itself failed");
        serde_json::from_str(&last).unwrap_or_else(|error| panic!("{error}: {last}"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One answer of the admin address: the body of a GET, whatever its status.
pub fn ask(admin: &str, path: &str) -> Result<String, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(admin)?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or(answer)
}
