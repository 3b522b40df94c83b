//! What is computed while a body flows in: MD5 for the ETag, BLAKE3 per block, the checksums that the client declared.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::{Digest as _, Md5};
use outlast_rules::{BlockDigest, BlockMap, ChecksumKind};

/// One running checksum of the kinds that S3 knows.
pub enum RunningChecksum {
    Crc(ChecksumKind, Crc),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl RunningChecksum {
    pub fn new(kind: ChecksumKind) -> RunningChecksum {
        let crc = |algorithm| RunningChecksum::Crc(kind, Crc::new(algorithm));
        match kind {
            ChecksumKind::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumKind::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumKind::Crc64nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumKind::Sha1 => RunningChecksum::Sha1(sha1::Sha1::new()),
            ChecksumKind::Sha256 => RunningChecksum::Sha256(sha2::Sha256::new()),
        }
    }

    pub fn kind(&self) -> ChecksumKind {
        match self {
            RunningChecksum::Crc(kind, _) => *kind,
            RunningChecksum::Sha1(_) => ChecksumKind::Sha1,
            RunningChecksum::Sha256(_) => ChecksumKind::Sha256,
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            RunningChecksum::Crc(_, crc) => crc.update(bytes),
            RunningChecksum::Sha1(sha) => sha.update(bytes),
            RunningChecksum::Sha256(sha) => sha.update(bytes),
        }
    }

    /// The bytes of the value, big-endian as S3 sends them.
    pub fn finish(self) -> Vec<u8> {
        match self {
            RunningChecksum::Crc(ChecksumKind::Crc64nvme, crc) => crc.finalize().to_be_bytes().to_vec(),
            RunningChecksum::Crc(_, crc) => (crc.finalize() as u32).to_be_bytes().to_vec(),
            RunningChecksum::Sha1(sha) => sha.finalize().to_vec(),
            RunningChecksum::Sha256(sha) => sha.finalize().to_vec(),
        }
    }

    /// As S3 writes it.
    pub fn finish_base64(self) -> String {
        STANDARD.encode(self.finish())
    }
}

/// The checksum of a body from those of its parts; only CRCs can be combined.
pub fn combine(kind: ChecksumKind, parts: &[(Vec<u8>, u64)]) -> Option<String> {
    let (algorithm, width) = match kind {
        ChecksumKind::Crc32 => (CrcAlgorithm::Crc32IsoHdlc, 4),
        ChecksumKind::Crc32c => (CrcAlgorithm::Crc32Iscsi, 4),
        ChecksumKind::Crc64nvme => (CrcAlgorithm::Crc64Nvme, 8),
        ChecksumKind::Sha1 | ChecksumKind::Sha256 => return None,
    };
    let value = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut parts = parts.iter();
    let (first, _) = parts.next()?;
    let whole =
        parts.fold(value(first), |sum, (next, len)| crc_fast::checksum_combine(algorithm, sum, value(next), *len));
    Some(STANDARD.encode(&whole.to_be_bytes()[8 - width..]))
}

/// BLAKE3 per block of a body of known length.
pub struct BlockDigester {
    len: u64,
    block: u64,
    filled: u64,
    hasher: blake3::Hasher,
    digests: Vec<BlockDigest>,
}

impl BlockDigester {
    pub fn new(len: u64) -> BlockDigester {
        let block = BlockMap::block_for(len);
        BlockDigester { len, block, filled: 0, hasher: blake3::Hasher::new(), digests: Vec::new() }
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let take = bytes.len().min((self.block - self.filled) as usize);
            self.hasher.update(&bytes[..take]);
            self.filled += take as u64;
            bytes = &bytes[take..];
            if self.filled == self.block {
                self.close();
            }
        }
    }

    pub fn finish(mut self) -> BlockMap {
        if self.filled > 0 {
            self.close();
        }
        BlockMap { len: self.len, block: self.block, digests: self.digests }
    }

    fn close(&mut self) {
        let mut short = [0; 16];
        short.copy_from_slice(&self.hasher.finalize().as_bytes()[..16]);
        self.digests.push(short);
        self.hasher.reset();
        self.filled = 0;
    }
}

/// What a client declares is of the whole body: MD5 and checksums, over one pass of the bytes.
pub struct WholeDigester {
    md5: Md5,
    checksums: Vec<RunningChecksum>,
}

pub struct WholeDigests {
    pub md5: [u8; 16],
    pub checksums: Vec<(ChecksumKind, String)>,
}

impl WholeDigester {
    pub fn new(kinds: impl IntoIterator<Item = ChecksumKind>) -> WholeDigester {
        WholeDigester { md5: Md5::new(), checksums: kinds.into_iter().map(RunningChecksum::new).collect() }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        for checksum in &mut self.checksums {
            checksum.update(bytes);
        }
    }

    pub fn finish(self) -> WholeDigests {
        WholeDigests {
            md5: self.md5.finalize().into(),
            checksums: self.checksums.into_iter().map(|sum| (sum.kind(), sum.finish_base64())).collect(),
        }
    }
}

/// Everything at once. For a large body the blocks are those of one part, the rest goes on to the next.
pub struct BodyDigester {
    pub whole: WholeDigester,
    pub blocks: BlockDigester,
}

impl BodyDigester {
    pub fn new(len: u64, kinds: impl IntoIterator<Item = ChecksumKind>) -> BodyDigester {
        BodyDigester { whole: WholeDigester::new(kinds), blocks: BlockDigester::new(len) }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.whole.update(bytes);
        self.blocks.update(bytes);
    }

    pub fn finish(self) -> (WholeDigests, BlockMap) {
        (self.whole.finish(), self.blocks.finish())
    }
}

/// Names a part of ours by its bytes, without a second pass: of its blocks' digests.
pub fn name_of(blocks: &BlockMap) -> String {
    hex(&blake3::hash(blocks.digests.as_flattened()).as_bytes()[..16])
}

/// Lower-case hexadecimal, as ETags are written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the CRC catalogue, and the FIPS ones, for "123456789".
    #[test]
    fn known_values() {
        let value = |kind| {
            let mut sum = RunningChecksum::new(kind);
            sum.update(b"12345");
            sum.update(b"6789");
            hex(&sum.finish())
        };
        assert_eq!(value(ChecksumKind::Crc32), "cbf43926");
        assert_eq!(value(ChecksumKind::Crc32c), "e3069283");
        assert_eq!(value(ChecksumKind::Crc64nvme), "ae8b14860a799888");
        assert_eq!(value(ChecksumKind::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(value(ChecksumKind::Sha256), "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
    }

    #[test]
    fn crcs_combine() {
        for kind in [ChecksumKind::Crc32, ChecksumKind::Crc32c, ChecksumKind::Crc64nvme] {
            let of = |bytes: &[u8]| {
                let mut sum = RunningChecksum::new(kind);
                sum.update(bytes);
                (sum.finish(), bytes.len() as u64)
            };
            let combined = combine(kind, &[of(b"12345"), of(b"67"), of(b"89")]);
            assert_eq!(combined, Some(STANDARD.encode(of(b"123456789").0)), "{kind:?}");
        }
        assert_eq!(combine(ChecksumKind::Sha256, &[(vec![0; 32], 1)]), None);
    }

    #[test]
    fn blocks_are_those_of_a_body_held_whole() {
        for len in [0usize, 1, 65_535, 65_536, 65_537, 300_000] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
            let mut digester = BlockDigester::new(len as u64);
            for piece in bytes.chunks(1000) {
                digester.update(piece);
            }
            assert_eq!(digester.finish(), BlockMap::of(&bytes), "{len}");
        }
    }
}
