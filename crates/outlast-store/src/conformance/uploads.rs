//! Multipart: parts in any order, exactly those that are named, under the fence; and an abort is the end of it.

use super::expect::Expect;
use super::say::{broke_off, bytes_of, clear, dress, is, is_absent, ok, put, read, refused, stamp, streamed, text};
use crate::{At, Body, Dress, Fault, NativePart, Store};
use bytes::{Bytes, BytesMut};
use outlast_rules::{Fence, Head};

pub(super) async fn run(store: &dyn Store, bucket: &str, expect: Expect) {
    whole(store, bucket, expect).await;
    refusals(store, bucket, expect).await;
    aborts(store, bucket, expect).await;
    if expect.grades.complete.fenced {
        fences(store, bucket).await;
    }
    clear(store, bucket).await;
}

async fn part(store: &dyn Store, at: &At, id: &str, number: u32, bytes: Bytes) -> NativePart {
    let size = bytes.len() as u64;
    let body = streamed(bytes, 64 * 1024, size);
    let etag = ok(&format!("part {number}"), store.put_part(at, id, number, body, None).await);
    NativePart { number, size, etag }
}

async fn whole(store: &dyn Store, bucket: &str, expect: Expect) {
    let at = At::new(bucket, "upload/whole");
    let head = Head { content_type: Some("video/mp4".into()), ..Head::default() };
    let dressed = dress(head, Some(stamp(bucket, "upload/whole", 11, 1)));
    let id = ok("create", store.create_upload(&at, &dressed).await);
    let other = ok("create another", store.create_upload(&at, &Dress::default()).await);
    assert_ne!(id, other, "each upload has an id of its own");
    if expect.lists_uploads {
        let open = ok("list uploads", store.list_uploads(bucket).await);
        for id in [&id, &other] {
            assert!(open.contains(&(at.key.clone(), id.clone())), "{id} is missing among {open:?}");
        }
    }
    let bytes: Vec<Bytes> =
        [expect.part_bytes, expect.part_bytes, 777].iter().zip(20..).map(|(&len, seed)| bytes_of(seed, len)).collect();
    let replaced = part(store, &at, &id, 7, bytes_of(30, expect.part_bytes)).await;
    let third = part(store, &at, &id, 9, bytes[2].clone()).await;
    let first = part(store, &at, &id, 2, bytes[0].clone()).await;
    let second = part(store, &at, &id, 7, bytes[1].clone()).await;
    part(store, &at, &id, 8, bytes_of(31, expect.part_bytes)).await;
    assert_ne!(replaced.etag, second.etag);
    let shown = ok("list parts", store.list_parts(&at, &id).await);
    assert_eq!(shown.iter().map(|part| part.number).collect::<Vec<_>>(), [2, 7, 8, 9]);
    assert!(shown.contains(&second) && !shown.contains(&replaced), "a part put again replaces the first: {shown:?}");
    is_absent(store, &at).await;

    let named = [first, second, third];
    let pin = ok("complete", store.complete_upload(&at, &id, &named, None).await);
    let (found, got) = read(store, &at, Some(&pin), None).await;
    let mut expected = BytesMut::new();
    bytes.iter().for_each(|part| expected.extend_from_slice(part));
    assert!(got == expected, "exactly the named parts, in order of their numbers");
    assert_eq!(found.pin, pin);
    if expect.keeps_metadata {
        assert_eq!(found.dress, dressed, "the headers and the stamp said at the beginning");
    }
    let (found, edge) = read(store, &at, None, Some(across(expect.part_bytes))).await;
    assert_eq!(
        (found.size, &edge[..]),
        (expected.len() as u64, &expected[expect.part_bytes - 5..expect.part_bytes + 5])
    );
    ok("abort of the other", store.abort_upload(&at, &other).await);
}

fn across(edge: usize) -> crate::ByteRange {
    crate::ByteRange { start: edge as u64 - 5, end: edge as u64 + 5 }
}

async fn refusals(store: &dyn Store, bucket: &str, expect: Expect) {
    let at = At::new(bucket, "upload/refused");
    let id = ok("create", store.create_upload(&at, &Dress::default()).await);
    let one = part(store, &at, &id, 1, bytes_of(40, expect.part_bytes)).await;
    let never = NativePart { number: 2, ..one.clone() };
    let unknown = store.complete_upload(&at, &id, &[one.clone(), never], None).await;
    refused("complete with a part that is not there", unknown, Fault::BadRequest);
    let other = NativePart { etag: "0123456789abcdef0123456789abcdef".into(), ..one.clone() };
    let wrong = store.complete_upload(&at, &id, &[other], None).await;
    refused("complete with another part's ETag", wrong, Fault::BadRequest);
    is_absent(store, &at).await;
    let bytes = bytes_of(41, 70_000);
    let short = store.put_part(&at, &id, 1, streamed(bytes, 10_000, 70_001), None).await;
    broke_off("a short part", short);
    assert_eq!(
        ok("list parts", store.list_parts(&at, &id).await),
        std::slice::from_ref(&one),
        "a short part replaces nothing"
    );
    ok("complete after refusals", store.complete_upload(&at, &id, &[one], None).await);
    assert_eq!(read(store, &at, None, None).await.1, bytes_of(40, expect.part_bytes));

    let nowhere = ok("create", store.create_upload(&at, &Dress::default()).await);
    ok("abort", store.abort_upload(&at, &nowhere).await);
    gone(store, &at, &nowhere, expect).await;
}

async fn gone(store: &dyn Store, at: &At, id: &str, expect: Expect) {
    let part = NativePart { number: 1, size: 1, etag: "0123456789abcdef".into() };
    let made = store.put_part(at, id, 1, text("x"), None).await;
    let completed = store.complete_upload(at, id, &[part], None).await;
    if expect.names_missing_uploads {
        refused("a part of nothing", made, Fault::NoUpload);
        refused("complete of nothing", completed, Fault::NoUpload);
    } else {
        assert!(made.is_err() && completed.is_err(), "{made:?} {completed:?}");
    }
    refused("parts of nothing", store.list_parts(at, id).await, Fault::NoUpload);
    refused("abort of nothing", store.abort_upload(at, id).await, Fault::NoUpload);
}

/// Once an abort is answered, no Complete of that upload lands any more: protocol.md 2.6 rests on it.
async fn aborts(store: &dyn Store, bucket: &str, expect: Expect) {
    for round in 0..expect.races {
        let at = At::new(bucket, format!("upload/abort {round}"));
        let id = ok("create", store.create_upload(&at, &Dress::default()).await);
        let one = part(store, &at, &id, 1, bytes_of(50, 100_000)).await;
        let named = [one];
        let (done, aborted) = if round % 2 == 0 {
            futures_util::future::join(store.complete_upload(&at, &id, &named, None), store.abort_upload(&at, &id))
                .await
        } else {
            let race =
                futures_util::future::join(store.abort_upload(&at, &id), store.complete_upload(&at, &id, &named, None));
            let (aborted, done) = race.await;
            (done, aborted)
        };
        match done {
            Ok(pin) => assert_eq!(read(store, &at, Some(&pin), None).await.1, bytes_of(50, 100_000)),
            Err(error) => {
                assert!(error.fault == Fault::NoUpload || !expect.names_missing_uploads, "{error}");
                is_absent(store, &at).await;
            }
        }
        if let Err(error) = aborted {
            assert_eq!(error.fault, Fault::NoUpload, "{error}");
        }
        if expect.lists_uploads {
            let open = ok("list uploads", store.list_uploads(bucket).await);
            assert!(!open.iter().any(|(_, open)| *open == id), "an ended upload is listed");
        }
    }
}

async fn fences(store: &dyn Store, bucket: &str) {
    let at = At::new(bucket, "upload/fenced");
    let upload = async |content: &str| {
        let id = ok("create", store.create_upload(&at, &Dress::default()).await);
        let bytes = Bytes::from(content.to_owned());
        let etag = ok("part", store.put_part(&at, &id, 1, Body::Whole(bytes.clone()), None).await);
        (id, [NativePart { number: 1, size: bytes.len() as u64, etag }])
    };
    let (id, parts) = upload("first").await;
    let first = ok("complete on nothing", store.complete_upload(&at, &id, &parts, Some(&Fence::Absent)).await);
    let (id, parts) = upload("second").await;
    let answer = store.complete_upload(&at, &id, &parts, Some(&Fence::Absent)).await;
    refused("complete on something", answer, Fault::Precondition);
    is(store, &at, "first").await;
    let fence = Fence::Matches(first.etag);
    put(store, &at, "between").await;
    let answer = store.complete_upload(&at, &id, &parts, Some(&fence)).await;
    refused("complete on something else", answer, Fault::Precondition);
    is(store, &at, "between").await;
    let now = Fence::Matches(ok("head", store.head(&at, None).await).pin.etag);
    ok("complete on what is there", store.complete_upload(&at, &id, &parts, Some(&now)).await);
    is(store, &at, "second").await;
}
