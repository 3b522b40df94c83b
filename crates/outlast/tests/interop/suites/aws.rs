//! aws-cli: the high-level commands, a presigned URL, and multipart by hand.

use super::{all_alike, healthy};
use crate::clients::{ACCESS_KEY, SECRET_KEY, good, system_tool};
use crate::scene::BUCKET;
use crate::tools::Aws;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A folder with names and sizes that are worth a try.
pub fn tree(at: &Path) {
    for (name, size) in [
        ("readme.txt", 12),
        ("empty", 0),
        ("deep/er/still.bin", 70_000),
        ("deep/with space & plus+.txt", 5),
        ("deep/ümlaut-日本.txt", 33),
        ("big.bin", 9 << 20),
    ] {
        let path = at.join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        let bytes: Vec<u8> = (0..size).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(path, bytes).expect("written");
    }
}

/// The two folders hold the same.
pub fn same(one: &Path, other: &Path) {
    good(Command::new("diff").arg("-r").arg(one).arg(other));
}

#[test]
fn high_level_commands() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some((moto, garage, scene)) = healthy(dir.path()) else { return };
    let Some(aws) = Aws::new(dir.path(), &scene.gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    let at = |path: &str| format!("s3://{BUCKET}/{path}");
    tree(&dir.path().join("tree"));

    // 9 MiB go as a multipart upload.
    aws.good(&["s3", "sync", "tree", &at("tree"), "--no-progress"]);
    aws.good(&["s3", "sync", &at("tree"), "back", "--no-progress"]);
    same(&dir.path().join("tree"), &dir.path().join("back"));
    assert_eq!(aws.good(&["s3", "sync", "tree", &at("tree"), "--no-progress"]), "", "nothing has changed");

    aws.good(&["s3", "cp", &at("tree/big.bin"), &at("copy.bin"), "--no-progress"]);
    aws.good(&["s3", "mv", &at("copy.bin"), &at("moved.bin"), "--no-progress"]);
    aws.good(&["s3", "mv", "back/readme.txt", &at("moved.txt"), "--no-progress"]);
    let listed = aws.good(&["s3", "ls", &at("")]);
    assert!(listed.contains("PRE tree/") && listed.contains("moved.bin") && !listed.contains("copy.bin"), "{listed}");
    aws.good(&["s3", "cp", &at("moved.bin"), "moved.bin", "--no-progress"]);
    assert!(
        fs::read(dir.path().join("moved.bin")).expect("there")
            == fs::read(dir.path().join("tree/big.bin")).expect("there")
    );

    fs::remove_file(dir.path().join("tree/empty")).expect("it was there");
    aws.good(&["s3", "sync", "tree", &at("tree"), "--delete", "--no-progress"]);
    let listed = aws.good(&["s3", "ls", &at("tree/"), "--recursive", "--summarize"]);
    assert!(listed.contains("Total Objects: 5"), "{listed}");
    all_alike(&scene, (&moto, &garage), Some(7), &[]);

    aws.good(&["s3", "rm", &at(""), "--recursive"]);
    assert_eq!(aws.good(&["s3", "ls", &at("")]), "");
    all_alike(&scene, (&moto, &garage), Some(0), &[]);
    aws.good(&["s3", "rb", &at("")]);
    assert!(!aws.good(&["s3", "ls"]).contains(BUCKET));
}

/// One connection carries all, in this order: aws-cli misreads the answer after one that came without a `100 Continue`.
#[test]
fn an_empty_file_before_a_large_one_on_one_connection() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some((moto, garage, scene)) = healthy(dir.path()) else { return };
    let Some(aws) = Aws::new(dir.path(), &scene.gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    let config = "[default]\ns3 =\n    signature_version = s3v4\n    max_concurrent_requests = 1\n";
    fs::write(dir.path().join("aws.config"), config).expect("written");
    let files = dir.path().join("files");
    fs::create_dir(&files).expect("made");
    for (name, size) in [("1-empty", 0), ("2-large", 4 << 20), ("3-empty", 0), ("4-small", 100)] {
        fs::write(files.join(name), vec![7_u8; size]).expect("written");
    }
    let at = format!("s3://{BUCKET}/files");
    aws.good(&["s3", "sync", "files", &at, "--no-progress", "--cli-read-timeout", "20"]);
    aws.good(&["s3", "sync", &at, "back", "--no-progress"]);
    same(&files, &dir.path().join("back"));
    all_alike(&scene, (&moto, &garage), Some(4), &[]);
}

#[test]
fn a_presigned_url() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some((_moto, _garage, scene)) = healthy(dir.path()) else { return };
    let Some(aws) = Aws::new(dir.path(), &scene.gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    let Some(curl) = system_tool("curl") else { return };
    fs::write(dir.path().join("a.txt"), "presigned bytes").expect("written");
    aws.good(&["s3", "cp", "a.txt", &format!("s3://{BUCKET}/a.txt"), "--no-progress"]);
    let url = aws.good(&["s3", "presign", &format!("s3://{BUCKET}/a.txt"), "--expires-in", "60"]);
    let url = url.trim();
    assert_eq!(good(Command::new(&curl).args(["-sSf", url])), "presigned bytes");
    assert_eq!(good(Command::new(&curl).args(["-sSf", "-r", "3-6", url])), "sign");
    let status = |url: &str| good(Command::new(&curl).args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", url]));
    assert_eq!(status(&url.replace("a.txt", "b.txt")), "403", "another key is not signed");
    let (plain, _) = url.split_once('?').expect("it is signed");
    assert_eq!(status(plain), "403", "nothing is signed");
}

#[test]
fn multipart_by_hand() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some((moto, garage, scene)) = healthy(dir.path()) else { return };
    let Some(aws) = Aws::new(dir.path(), &scene.gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    let api = |args: &[&str]| -> serde_json::Value {
        let words: Vec<&str> = ["s3api", args[0], "--bucket", BUCKET].iter().chain(&args[1..]).copied().collect();
        serde_json::from_str(&aws.good(&words)).unwrap_or_default()
    };
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let first: Vec<u8> = (0..5_u32 << 20).map(|at| (at >> 7) as u8).collect();
    fs::write(dir.path().join("1"), &first).expect("written");
    fs::write(dir.path().join("2"), "the end").expect("written");

    let upload =
        text(&api(&["create-multipart-upload", "--key", "whole", "--content-type", "text/x-parts"])["UploadId"]);
    let mut etags = Vec::new();
    for number in ["2", "1"] {
        let part =
            api(&["upload-part", "--key", "whole", "--upload-id", &upload, "--part-number", number, "--body", number]);
        etags.insert(0, text(&part["ETag"]));
    }
    let parts = api(&["list-parts", "--key", "whole", "--upload-id", &upload]);
    assert_eq!(parts["Parts"].as_array().map(Vec::len), Some(2), "{parts}");
    let uploads = api(&["list-multipart-uploads"]);
    assert_eq!(uploads["Uploads"][0]["Key"], "whole", "{uploads}");
    let list = serde_json::json!({ "Parts": [
        { "PartNumber": 1, "ETag": etags[0] }, { "PartNumber": 2, "ETag": etags[1] },
    ]});
    let done = api(&[
        "complete-multipart-upload",
        "--key",
        "whole",
        "--upload-id",
        &upload,
        "--multipart-upload",
        &list.to_string(),
    ]);
    assert!(text(&done["ETag"]).ends_with("-2\""), "{done}");
    let head = api(&["head-object", "--key", "whole"]);
    assert_eq!(
        (head["ContentLength"].as_u64(), head["ContentType"].as_str()),
        (Some((5 << 20) + 7), Some("text/x-parts"))
    );
    api(&["get-object", "--key", "whole", "back"]);
    assert!(fs::read(dir.path().join("back")).expect("there") == [first, b"the end".to_vec()].concat());

    let given_up = text(&api(&["create-multipart-upload", "--key", "never"])["UploadId"]);
    api(&["upload-part", "--key", "never", "--upload-id", &given_up, "--part-number", "1", "--body", "2"]);
    api(&["abort-multipart-upload", "--key", "never", "--upload-id", &given_up]);
    let said = aws.bad(&["s3api", "list-parts", "--bucket", BUCKET, "--key", "never", "--upload-id", &given_up]);
    assert!(said.contains("NoSuchUpload"), "{said}");
    all_alike(&scene, (&moto, &garage), Some(1), &[]);
}
