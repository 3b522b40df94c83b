//! Two Azure accounts and a disk: one account stops answering, is gone, and comes back while the gateway is killed. Every copy
//! is read back with somebody else's client.

use crate::clients::Progress;
use crate::gateway::Launch;
use crate::peers::{Peer, azurite};
use crate::scene::{Place, Scene, folder};
use rustix::process::Signal;
use std::collections::BTreeMap;

/// Requests, whole downloads of the large object, and multipart uploads that each act lasts at least.
pub const ACT: Progress = Progress { ops: 60, films: 1, uploads: 1, errors: Vec::new() };

fn places<'a>(first: &'a Peer, second: &'a Peer) -> [(&'static str, Place<'a>); 3] {
    [("first", Place::Azure(first)), ("second", Place::Azure(second)), ("disk", Place::Disk("disk"))]
}

#[test]
fn one_account_of_two_stops_under_load() {
    let dir = folder();
    let Some(first) = azurite(dir.path(), "azure-first", "firstaccount") else { return };
    let Some(second) = azurite(dir.path(), "azure-second", "secondaccount") else { return };
    let places = places(&first, &second);
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let mut load = scene.load("azure");
    load.act(&ACT);
    first.freeze();
    load.act(&ACT);
    first.thaw();
    load.act(&ACT);
    scene.judge(&load.end(), &places);
}

/// What a few lines of Python put: key and content.
pub const PUTS: &str = r#"
import io
s3.put_object(Bucket='load', Key='KEY/plain.txt', Body=b'KEY plain', ContentType='text/plain', Metadata={'x-colour': 'blue'})
s3.put_object(Bucket='load', Key='KEY//odd/', Body=b'KEY odd')
s3.put_object(Bucket='load', Key='KEY/gone', Body=b'KEY gone')
s3.delete_object(Bucket='load', Key='KEY/gone')
up = s3.create_multipart_upload(Bucket='load', Key='KEY/large', Metadata={'a_b': 'c'})['UploadId']
parts = []
for n in (1, 2):
    body = bytes([n]) * (6 << 20)
    tag = s3.upload_part(Bucket='load', Key='KEY/large', UploadId=up, PartNumber=n, Body=body)['ETag']
    parts.append({'PartNumber': n, 'ETag': tag})
s3.complete_multipart_upload(Bucket='load', Key='KEY/large', UploadId=up, MultipartUpload={'Parts': parts})
s3.copy_object(Bucket='load', Key='KEY/copy', CopySource='load/KEY/plain.txt', MetadataDirective='REPLACE', ContentType='text/html')
"#;

/// And what others read, from the gateway.
pub const GETS: &str = r#"
import hashlib, json
held = {}
for entry in s3.list_objects_v2(Bucket='load')['Contents']:
    got = s3.get_object(Bucket='load', Key=entry['Key'])
    held[entry['Key']] = hashlib.sha256(got['Body'].read()).hexdigest()
    if entry['Key'].endswith('/copy'):
        assert got['ContentType'] == 'text/html', got
    if entry['Key'].endswith('/plain.txt'):
        assert got['ContentType'] == 'text/plain' and got['Metadata'] == {'x-colour': 'blue'}, got
    if entry['Key'].endswith('/large'):
        assert got['Metadata'] == {'a_b': 'c'} and got['ETag'].endswith('-2"'), got
print(json.dumps(held))
"#;

#[test]
fn an_account_that_was_away_catches_up_though_the_gateway_was_killed() {
    let dir = folder();
    let Some(first) = azurite(dir.path(), "azure-first", "firstaccount") else { return };
    let Some(second) = azurite(dir.path(), "azure-second", "secondaccount") else { return };
    let places = places(&first, &second);
    let Some(mut scene) = Scene::open(dir.path(), &places) else { return };
    scene.boto(&PUTS.replace("KEY", "before"));
    scene.until_paid();
    second.stop();
    scene.boto(&PUTS.replace("KEY", "meanwhile"));
    scene.boto(&PUTS.replace("KEY", "before"));
    let dir = scene.dir.clone();
    scene.gateway.signal(Signal::KILL);
    scene.gateway = Launch::new(&dir).serve();
    let read = scene.boto(GETS);
    second.start();
    scene.until_paid();
    let read: BTreeMap<String, String> = serde_json::from_str(&read).expect("JSON");
    assert_eq!(read.len(), 8, "{read:?}");
    assert_eq!(serde_json::from_str::<BTreeMap<String, String>>(&scene.boto(GETS)).expect("JSON"), read);
    let plain = |held: BTreeMap<String, String>| -> BTreeMap<String, String> {
        held.into_iter().filter(|(key, _)| !key.contains("//")).collect()
    };
    // Keys that Azure would not keep as they are lie under .outlast/keys/, and count in what the gateway reads.
    for (name, place) in &places[..2] {
        assert_eq!(scene.held(place), plain(read.clone()), "{name}");
    }
}
