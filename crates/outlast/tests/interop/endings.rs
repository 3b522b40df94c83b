//! SIGTERM in the middle of uploads: what was begun is finished and acknowledged, and is there after the next start.

use crate::clients::{ACCESS_KEY, SECRET_KEY, good, python, script};
use crate::gateway::{Gateway, Launch};
use crate::scene::{Place, configuration};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// More than one segment, and more than all socket buffers on the way.
const BODY: usize = 12 << 20;

/// A request whose head was taken and half of whose body was sent.
struct Begun {
    connection: BufReader<TcpStream>,
    rest: Vec<u8>,
}

impl Begun {
    /// `url` is presigned for this method.
    fn new(gateway: &Gateway, method: &str, url: &str, mut body: Vec<u8>) -> Begun {
        let target = url.strip_prefix(&gateway.s3).expect("a URL of this gateway");
        let host = gateway.s3.strip_prefix("http://").expect("plain http");
        let mut connection = BufReader::new(TcpStream::connect(host).expect("it listens"));
        let (client, length) = (connection.get_mut(), body.len());
        write!(
            client,
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        )
        .expect("sent");
        // Said when somebody asks for the body: from here on the request is running.
        let mut line = String::new();
        connection.read_line(&mut line).expect("answered");
        assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
        connection.read_line(&mut line).expect("answered");
        let rest = body.split_off(length / 2);
        connection.get_mut().write_all(&body).expect("sent");
        Begun { connection, rest }
    }

    /// Sends what is left, and gives the whole answer.
    fn end(mut self) -> String {
        self.connection.get_mut().write_all(&self.rest).expect("sent");
        let mut answer = String::new();
        self.connection.read_to_string(&mut answer).expect("answered, and the connection ends with the process");
        answer
    }
}

fn boto(python: &Path, gateway: &Gateway, lines: &str) -> String {
    let text = format!("{}\n{lines}", include_str!("client.py"));
    good(&mut script(python, &text, &[&gateway.s3, ACCESS_KEY, SECRET_KEY]))
}

/// Three disks in this folder.
fn launch(dir: &Path) -> Gateway {
    let stores = ["one", "two", "three"];
    for name in stores {
        fs::create_dir_all(dir.join(name)).expect("made");
    }
    let text = configuration(&stores.map(|name| (name, Place::Disk(name))), "min_copies = 2\n");
    fs::write(dir.join("outlast.toml"), text).expect("written");
    Launch::new(dir).serve()
}

#[test]
fn running_uploads_end_before_the_process_does() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some(python) = python() else { return };
    let gateway = launch(dir.path());
    let said = boto(
        &python,
        &gateway,
        "s3.create_bucket(Bucket='photos')\n\
         upload = s3.create_multipart_upload(Bucket='photos', Key='parts')['UploadId']\n\
         one = dict(Bucket='photos', Key='parts', UploadId=upload)\n\
         print(s3.upload_part(**one, PartNumber=1, Body=b'the only part')['ETag'])\n\
         print(s3.generate_presigned_url('complete_multipart_upload', one))\n\
         print(s3.generate_presigned_url('put_object', dict(Bucket='photos', Key='whole')))\n",
    );
    let [etag, complete, put] = said.lines().collect::<Vec<_>>().try_into().expect("three lines");
    let whole: Vec<u8> = (0..BODY).map(|at| (at % 251) as u8).collect();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let put = Begun::new(&gateway, "PUT", put, whole);
    let complete = Begun::new(&gateway, "POST", complete, list.into_bytes());

    gateway.signal(Signal::TERM);
    let host = gateway.s3.strip_prefix("http://").expect("plain http");
    while TcpStream::connect(host).is_ok() {}
    let (put, complete) = (put.end(), complete.end());
    assert!(put.starts_with("HTTP/1.1 200"), "{put}");
    assert!(complete.starts_with("HTTP/1.1 200"), "{complete}");
    assert!(complete.contains("<CompleteMultipartUploadResult"), "{complete}");
    let log = gateway.log();
    assert_eq!(gateway.wait().code(), Some(0), "{log}");

    boto(
        &python,
        &launch(dir.path()),
        &format!(
            "read = lambda key: s3.get_object(Bucket='photos', Key=key)['Body'].read()\n\
             assert read('whole') == bytes(at % 251 for at in range({BODY}))\n\
             assert read('parts') == b'the only part'\n\
             assert not s3.list_multipart_uploads(Bucket='photos').get('Uploads')\n"
        ),
    );
}
