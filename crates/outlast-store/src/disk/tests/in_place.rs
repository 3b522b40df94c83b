//! Parts that lie in their upload's body: what is renamed, what is copied, and that no listed byte is ever another.

use super::*;
use std::os::unix::fs::MetadataExt;

const MIB: usize = 1024 * 1024;

fn bytes(len: usize, seed: u8) -> Bytes {
    Bytes::from((0..len).map(|i| (i as u64).wrapping_mul(2_654_435_761).to_le_bytes()[2] ^ seed).collect::<Vec<u8>>())
}

struct Upload {
    w: World,
    at: At,
    id: String,
}

impl Upload {
    async fn begin() -> Upload {
        let w = world().await;
        let at = At::new("bkt", "k");
        let id = w.store.create_upload(&at, &Dress::default()).await.unwrap();
        Upload { w, at, id }
    }

    async fn part(&self, number: u32, body: &Bytes) -> NativePart {
        let etag = self.w.store.put_part(&self.at, &self.id, number, Body::Whole(body.clone()), None).await.unwrap();
        NativePart { number, size: body.len() as u64, etag }
    }

    async fn complete(&self, parts: &[NativePart], fence: Option<&Fence>) -> Answer<Pin> {
        self.w.store.complete_upload(&self.at, &self.id, parts, fence).await
    }

    /// The number of the file in which parts lie in place.
    fn body(&self) -> Option<u64> {
        let folder = self.w.bucket().join(".outlast/.disk/uploads").join(&self.id);
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let body = names.into_iter().find(|entry| entry.file_name().to_str().unwrap().starts_with("body-"));
        body.map(|entry| entry.metadata().unwrap().ino())
    }

    fn object(&self) -> (u64, Vec<u8>) {
        let path = self.w.bucket().join("k");
        (std::fs::metadata(&path).unwrap().ino(), std::fs::read(&path).unwrap())
    }

    fn is_swept(&self) -> bool {
        let folder = self.w.bucket().join(".outlast/.disk/uploads");
        !folder.exists() || files(&folder).is_empty()
    }
}

#[tokio::test]
async fn parts_of_one_size_are_renamed_and_not_copied() {
    // Whatever comes first, as long as it shows the size of the others.
    for order in [[1, 2, 3], [2, 1, 3], [2, 3, 1]] {
        let up = Upload::begin().await;
        let bodies = [bytes(2 * MIB, 1), bytes(2 * MIB, 2), bytes(777, 3)];
        let mut parts = Vec::new();
        for number in order {
            parts.push(up.part(number, &bodies[number as usize - 1]).await);
        }
        parts.sort_by_key(|part| part.number);
        assert_eq!(up.w.store.list_parts(&up.at, &up.id).await.unwrap(), parts);
        let body = up.body().expect("parts lie in place");
        up.complete(&parts, None).await.unwrap();
        let (file, whole) = up.object();
        assert_eq!(file, body, "{order:?}: the body itself is the object");
        assert!(whole == bodies.concat(), "{order:?}");
        assert!(up.is_swept());
    }
}

#[tokio::test]
async fn what_does_not_fit_is_put_at_its_place_or_copied() {
    let up = Upload::begin().await;
    let (one, odd, last) = (bytes(MIB, 1), bytes(MIB - 5, 2), bytes(2 * MIB, 3));
    let parts = [up.part(1, &one).await, up.part(2, &odd).await, up.part(3, &last).await];
    up.complete(&parts, None).await.unwrap();
    assert!(up.object().1 == [one, odd, last].concat());
}

#[tokio::test]
async fn a_part_sent_again_leaves_the_acknowledged_one_alone() {
    for listed in [0, 1] {
        let up = Upload::begin().await;
        let (one, two, other) = (bytes(MIB, 1), bytes(MIB, 2), bytes(MIB, 9));
        let first = up.part(1, &one).await;
        let second = [up.part(2, &two).await, up.part(2, &other).await];
        up.complete(&[first, second[listed].clone()], None).await.unwrap();
        assert!(up.object().1 == [one, if listed == 0 { two } else { other }].concat(), "{listed}");
        assert!(up.is_swept());
    }
}

#[tokio::test]
async fn parts_that_are_not_listed_stay_out_of_it() {
    let up = Upload::begin().await;
    let bodies = [bytes(MIB, 1), bytes(MIB, 2), bytes(MIB, 3)];
    let mut parts = Vec::new();
    for (body, number) in bodies.iter().zip(1..) {
        parts.push(up.part(number, body).await);
    }
    parts.remove(1);
    up.complete(&parts, None).await.unwrap();
    assert!(up.object().1 == [bodies[0].clone(), bodies[2].clone()].concat());
}

/// Refused by its condition, an upload is still open, whole, and can be completed by another call, with other parts too.
#[tokio::test]
async fn a_refused_complete_takes_nothing_away() {
    for take in [1, 3] {
        let up = Upload::begin().await;
        let bodies = [bytes(MIB, 1), bytes(MIB, 2), bytes(100, 3)];
        let mut parts = Vec::new();
        for (body, number) in bodies.iter().zip(1..) {
            parts.push(up.part(number, body).await);
        }
        let other = Fence::Matches("0123456789abcdef".to_owned());
        assert_eq!(up.complete(&parts, Some(&other)).await.unwrap_err().fault, Fault::Precondition);
        // One more that lies where the body ended.
        let fourth = up.part(4, &bytes(50, 4)).await;
        assert_eq!(up.w.store.list_parts(&up.at, &up.id).await.unwrap().len(), 4);
        let mut listed = parts[..take].to_vec();
        listed.push(fourth);
        up.complete(&listed, Some(&Fence::Absent)).await.unwrap();
        let mut whole = bodies[..take].to_vec();
        whole.push(bytes(50, 4));
        assert!(up.object().1 == whole.concat(), "{take}");
        assert!(up.is_swept());
    }
}

/// An attempt that broke off leaves a place half written; the next one writes it anew.
#[tokio::test]
async fn a_place_half_written_is_written_again() {
    let up = Upload::begin().await;
    let (one, two) = (bytes(MIB, 1), bytes(MIB, 2));
    let first = up.part(1, &one).await;
    let pieces = [Ok(bytes(MIB / 2, 7)), Err(std::io::Error::other("gone"))];
    let broken = Body::Stream { len: MIB as u64, bytes: futures_util::stream::iter(pieces).boxed() };
    up.w.store.put_part(&up.at, &up.id, 2, broken, None).await.unwrap_err();
    let body = up.body();
    let second = up.part(2, &two).await;
    up.complete(&[first, second], None).await.unwrap();
    let (file, whole) = up.object();
    assert!(Some(file) == body && whole == [one, two].concat());
}
