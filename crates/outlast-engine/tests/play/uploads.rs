//! Multipart uploads of a golden script: one for each key, its parts as the client was told of them.

use super::{Stage, body_of, told};
use crate::support::{bucket, client_body, key};
use outlast_engine::*;
use outlast_rules::{Conditions, Head};

/// The id of the upload, and the parts that were acknowledged.
#[derive(Default)]
pub struct Sent {
    id: String,
    parts: Vec<PartFacts>,
}

impl Stage {
    pub(super) async fn upload(&mut self, words: &[&str]) -> String {
        match *words {
            ["create-upload", at] => {
                let head = Head { content_type: Some("video/mp4".into()), ..Head::default() };
                let ask = CreateUploadAsk { bucket: bucket(), key: key(at), head, checksum: None, composite: None };
                let id = self.engine().create_upload(ask).await.unwrap();
                self.uploads.insert(at.to_owned(), Sent { id, parts: vec![] });
                String::new()
            }
            ["part", at, number, body] => {
                let (upload, number) = (self.uploads[at].id.clone(), number.parse().unwrap());
                let body = client_body(&body_of(body));
                let ask = PutPartAsk { bucket: bucket(), key: key(at), upload, number, body };
                let part = self.engine().put_part(ask).await;
                told(part.map(|part| {
                    self.uploads.get_mut(at).expect("the script has created it").parts.push(part);
                    "200".to_owned()
                }))
            }
            ["complete", at] => {
                let Sent { id, parts } = &self.uploads[at];
                let ask = CompleteAsk {
                    bucket: bucket(),
                    key: key(at),
                    upload: id.clone(),
                    parts: parts.iter().map(|part| (part.number, part.etag.clone())).collect(),
                    part_checksums: Default::default(),
                    checksum: None,
                    size: None,
                    conditions: Conditions::default(),
                };
                let written = self.engine().complete_upload(ask).await;
                told(written.map(|written| format!("200 on {}", written.places.join(", "))))
            }
            _ => panic!("no such command: {}", words.join(" ")),
        }
    }
}
