//! One run of the real binary in a folder of its own.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

/// The program under test: OUTLAST_BIN, else the one that was built beside this test.
pub fn program() -> PathBuf {
    std::env::var_os("OUTLAST_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_outlast")), PathBuf::from)
}

/// An address of this machine on which nobody listens now: 9001 may be that of a gateway that somebody uses.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

/// How to start it.
pub struct Launch {
    dir: PathBuf,
    args: Vec<String>,
    envs: Vec<(String, String)>,
}

impl Launch {
    /// In this folder; the configuration is its `outlast.toml`, or the trial.
    pub fn new(dir: &Path) -> Launch {
        Launch { dir: dir.to_owned(), args: Vec::new(), envs: Vec::new() }
    }

    pub fn args(mut self, args: &[&str]) -> Launch {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Launch {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    fn command(&self, command: &str) -> Command {
        let mut process = Command::new(program());
        process.current_dir(&self.dir).arg(command).args(&self.args);
        process.env_remove("RUST_LOG").env_remove("OUTLAST_CONFIG").envs(self.envs.iter().cloned());
        process.stdin(Stdio::null());
        process
    }

    /// A command that ends by itself.
    pub fn run(&self, command: &str) -> Output {
        self.command(command).output().expect("the program starts")
    }

    /// A command that is still at work when this returns.
    pub fn begin(&self, command: &str) -> Child {
        self.command(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// `serve` on free ports, until it takes requests.
    pub fn serve(self) -> Gateway {
        let (ready_file, log) = (self.dir.join("ready.json"), self.dir.join("serve.log"));
        let mut command = self.command("serve");
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--ready-file", "ready.json"]);
        // Each start appends: what an earlier one said is part of the story when a test fails.
        let errors = File::options().create(true).append(true).open(&log).expect("a log in the test's folder");
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut greeting = String::new();
        let said = stdout.read_line(&mut greeting).expect("stdout can be read");
        if said == 0 {
            let status = child.wait().expect("the program ended");
            panic!("`serve` ended with {status} before it was ready:\n{}", read(&log));
        }
        let ready: serde_json::Value = serde_json::from_str(&read(&ready_file)).expect("the ready file is JSON");
        let text = |key: &str| ready[key].as_str().expect("the ready file names it").to_owned();
        Gateway { s3: text("s3"), admin: text("admin"), child, stdout, greeting, log, ready_file }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("({}: {error})", path.display()))
}

/// A running gateway. Dropped, it is killed.
pub struct Gateway {
    /// `http://127.0.0.1:PORT`
    pub s3: String,
    /// `127.0.0.1:PORT`
    pub admin: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
    greeting: String,
    log: PathBuf,
    pub ready_file: PathBuf,
}

impl Gateway {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// To this process, and to no other.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id")).expect("it is not 0");
        kill_process(pid, signal).expect("the program runs");
    }

    /// Signals and waits. What it said on stdout in all, and how it ended.
    pub fn end(mut self, signal: Signal) -> (ExitStatus, String) {
        self.signal(signal);
        let mut said = std::mem::take(&mut self.greeting);
        self.stdout.read_to_string(&mut said).expect("stdout can be read");
        (self.child.wait().expect("it ends"), said)
    }

    /// How it ends, once it does.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Everything that was logged so far, by earlier starts in this folder too.
    pub fn log(&self) -> String {
        read(&self.log)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail when the process is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what the gateway logged ---\n{}", self.log());
        }
    }
}
