//! The x-amz-checksum-* family: what a client declares, and what it gets back.

use super::errors;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use outlast_engine::{Declared, DeclaredChecksum, DeclaredValue};
use outlast_rules::{Checksum, ChecksumKind};
use s3s::dto::{ChecksumAlgorithm, ChecksumType};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders};

const TRAILER: &str = "x-amz-trailer";
const CONTENT_MD5: &str = "content-md5";
const MD5_BYTES: usize = 16;

const KINDS: [ChecksumKind; 5] =
    [ChecksumKind::Crc32, ChecksumKind::Crc32c, ChecksumKind::Crc64nvme, ChecksumKind::Sha1, ChecksumKind::Sha256];

/// The values of an input that has them, by kind; the kinds that we do not compute are refused instead of being ignored.
macro_rules! declared_of {
    ($input:expr) => {{
        use outlast_rules::ChecksumKind as K;
        let others = [
            $input.checksum_md5.is_some(),
            $input.checksum_sha512.is_some(),
            $input.checksum_xxhash3.is_some(),
            $input.checksum_xxhash64.is_some(),
            $input.checksum_xxhash128.is_some(),
        ];
        if others.contains(&true) {
            return Err($crate::s3::errors::not_here("checksums other than CRC32, CRC32C, CRC64NVME, SHA1 and SHA256"));
        }
        [
            (K::Crc32, $input.checksum_crc32.take()),
            (K::Crc32c, $input.checksum_crc32c.take()),
            (K::Crc64nvme, $input.checksum_crc64nvme.take()),
            (K::Sha1, $input.checksum_sha1.take()),
            (K::Sha256, $input.checksum_sha256.take()),
        ]
    }};
}
pub(super) use declared_of;

/// Writes checksums into any output that has the five fields.
macro_rules! give_checksums {
    ($output:expr, $checksums:expr) => {
        for sum in $checksums {
            let value = Some(sum.value.clone());
            match sum.kind {
                outlast_rules::ChecksumKind::Crc32 => $output.checksum_crc32 = value,
                outlast_rules::ChecksumKind::Crc32c => $output.checksum_crc32c = value,
                outlast_rules::ChecksumKind::Crc64nvme => $output.checksum_crc64nvme = value,
                outlast_rules::ChecksumKind::Sha1 => $output.checksum_sha1 = value,
                outlast_rules::ChecksumKind::Sha256 => $output.checksum_sha256 = value,
            }
        }
    };
}
pub(super) use give_checksums;

pub type Given = [(ChecksumKind, Option<String>); KINDS.len()];

fn header_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Crc32 => "x-amz-checksum-crc32",
        ChecksumKind::Crc32c => "x-amz-checksum-crc32c",
        ChecksumKind::Crc64nvme => "x-amz-checksum-crc64nvme",
        ChecksumKind::Sha1 => "x-amz-checksum-sha1",
        ChecksumKind::Sha256 => "x-amz-checksum-sha256",
    }
}

fn digest_bytes(kind: ChecksumKind) -> usize {
    match kind {
        ChecksumKind::Crc32 | ChecksumKind::Crc32c => 4,
        ChecksumKind::Crc64nvme => 8,
        ChecksumKind::Sha1 => 20,
        ChecksumKind::Sha256 => 32,
    }
}

/// What the engine shall check before it commits. `x-amz-sdk-checksum-algorithm` without a value is a wish of the SDK's, not a claim.
pub fn declared(
    content_md5: Option<&str>,
    given: Given,
    headers: &HeaderMap,
    trailing: Option<&TrailingHeaders>,
) -> S3Result<Declared> {
    let mut checksums = Vec::new();
    for (kind, value) in given {
        if let Some(value) = value {
            checksums.push(DeclaredChecksum { kind, value: DeclaredValue::Now(well_formed(kind, value)?) });
        }
    }
    for kind in trailer_kinds(headers)? {
        // Without a chunked body there is nobody to bring the trailer: it counts as missing.
        let trailing = trailing.cloned();
        let take = move || trailing?.read(|map| map.get(header_name(kind))?.to_str().ok().map(str::to_owned))?;
        checksums.push(DeclaredChecksum { kind, value: DeclaredValue::Trailer(Box::new(take)) });
    }
    if checksums.len() > 1 {
        return Err(errors::invalid_request(
            "Expecting a single x-amz-checksum- header: a body has one checksum type.",
        ));
    }
    // s3s takes an empty header for none; it is a digest that was to be there.
    let content_md5 = content_md5.or(headers.get(CONTENT_MD5).map(|_| ""));
    Ok(Declared { md5: content_md5.map(md5).transpose()?, checksums, compute: None })
}

/// The one checksum of a request without a body to check (Complete).
pub fn single(given: Given) -> S3Result<Option<(ChecksumKind, String)>> {
    let mut found = given.into_iter().filter_map(|(kind, value)| Some((kind, value?)));
    let first = found.next();
    if found.next().is_some() {
        return Err(errors::invalid_request("Expecting a single x-amz-checksum- header."));
    }
    Ok(first)
}

fn well_formed(kind: ChecksumKind, value: String) -> S3Result<String> {
    match STANDARD.decode(value.trim()) {
        Ok(bytes) if bytes.len() == digest_bytes(kind) => Ok(value.trim().to_owned()),
        _ => Err(errors::invalid_request(format!("Value for {} header is invalid.", header_name(kind)))),
    }
}

fn md5(text: &str) -> S3Result<[u8; MD5_BYTES]> {
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| S3Error::new(S3ErrorCode::InvalidDigest))
}

fn trailer_kinds(headers: &HeaderMap) -> S3Result<Vec<ChecksumKind>> {
    let mut kinds = Vec::new();
    for value in headers.get_all(TRAILER) {
        let names = value.to_str().map_err(|_| errors::invalid("x-amz-trailer is not text"))?;
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let known = KINDS.into_iter().find(|kind| header_name(*kind).eq_ignore_ascii_case(name));
            match known {
                Some(kind) => kinds.push(kind),
                None if name.to_ascii_lowercase().starts_with("x-amz-checksum-") => {
                    return Err(errors::not_here(&format!("the trailer {name}")));
                }
                None => {
                    return Err(errors::invalid_request(format!("x-amz-trailer names {name}, which is no checksum")));
                }
            }
        }
    }
    Ok(kinds)
}

pub fn kind_of(algorithm: &ChecksumAlgorithm) -> S3Result<ChecksumKind> {
    match algorithm.as_str() {
        "CRC32" => Ok(ChecksumKind::Crc32),
        "CRC32C" => Ok(ChecksumKind::Crc32c),
        "CRC64NVME" => Ok(ChecksumKind::Crc64nvme),
        "SHA1" => Ok(ChecksumKind::Sha1),
        "SHA256" => Ok(ChecksumKind::Sha256),
        "SHA512" | "MD5" | "XXHASH3" | "XXHASH64" | "XXHASH128" => {
            Err(errors::not_here(&format!("the checksum algorithm {}", algorithm.as_str())))
        }
        other => Err(errors::invalid_request(format!("Checksum algorithm {other:?} is not one S3 knows."))),
    }
}

/// Only CRCs can be combined to one of the whole object, and CRC64NVME is nothing else: S3's own table.
pub fn check_type(kind: Option<ChecksumKind>, composite: Option<bool>) -> S3Result<()> {
    let (Some(kind), Some(composite)) = (kind, composite) else { return Ok(()) };
    let is_known = match kind {
        ChecksumKind::Crc32 | ChecksumKind::Crc32c => true,
        ChecksumKind::Crc64nvme => !composite,
        ChecksumKind::Sha1 | ChecksumKind::Sha256 => composite,
    };
    if is_known {
        return Ok(());
    }
    let name = if composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    let algorithm = algorithm(kind);
    Err(errors::invalid_request(format!(
        "The {name} checksum type cannot be used with the {} checksum algorithm.",
        algorithm.as_str().to_lowercase()
    )))
}

pub fn algorithm(kind: ChecksumKind) -> ChecksumAlgorithm {
    ChecksumAlgorithm::from_static(match kind {
        ChecksumKind::Crc32 => ChecksumAlgorithm::CRC32,
        ChecksumKind::Crc32c => ChecksumAlgorithm::CRC32C,
        ChecksumKind::Crc64nvme => ChecksumAlgorithm::CRC64NVME,
        ChecksumKind::Sha1 => ChecksumAlgorithm::SHA1,
        ChecksumKind::Sha256 => ChecksumAlgorithm::SHA256,
    })
}

pub fn checksum_type(checksums: &[Checksum]) -> Option<ChecksumType> {
    let kind = |sum: &Checksum| if sum.composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    checksums.first().map(|sum| ChecksumType::from_static(kind(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(ChecksumKind, &str)]) -> Given {
        KINDS.map(|kind| (kind, pairs.iter().find(|(k, _)| *k == kind).map(|(_, value)| (*value).to_owned())))
    }

    fn trailer(names: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRAILER, http::HeaderValue::from_static(names));
        headers
    }

    fn code(result: S3Result<Declared>) -> String {
        result.err().map_or("accepted".to_owned(), |error| error.code().as_str().to_owned())
    }

    #[test]
    fn headers_are_checked_for_form() {
        let none = HeaderMap::new();
        let one = |kind, value| code(declared(None, given(&[(kind, value)]), &none, None));
        assert_eq!(one(ChecksumKind::Crc32, "NSRBwg=="), "accepted");
        assert_eq!(one(ChecksumKind::Crc32, "NSRBwg"), "InvalidRequest");
        assert_eq!(one(ChecksumKind::Crc32, "n6EqJ46J3oU="), "InvalidRequest", "eight bytes are no CRC32");
        assert_eq!(one(ChecksumKind::Crc64nvme, "n6EqJ46J3oU="), "accepted");
        let two = given(&[(ChecksumKind::Crc32, "NSRBwg=="), (ChecksumKind::Crc32c, "NSRBwg==")]);
        assert_eq!(code(declared(None, two, &none, None)), "InvalidRequest");
    }

    #[test]
    fn content_md5_is_sixteen_bytes_of_base64() {
        let none = HeaderMap::new();
        let with = |text| code(declared(Some(text), given(&[]), &none, None));
        assert_eq!(with("1B2M2Y8AsgTpgAmY7PhCfg=="), "accepted");
        assert_eq!(with("1B2M2Y8AsgTpgAmY7PhCfg"), "InvalidDigest");
        assert_eq!(with("bm90IGFuIG1kNQ=="), "InvalidDigest");
        let mut empty = HeaderMap::new();
        empty.insert(CONTENT_MD5, http::HeaderValue::from_static(""));
        assert_eq!(code(declared(None, given(&[]), &empty, None)), "InvalidDigest");
    }

    #[test]
    fn a_trailer_that_nobody_brings_is_missing() {
        let headers = trailer("x-amz-checksum-crc32");
        let declared = declared(None, given(&[]), &headers, None).expect("the claim is well formed");
        let [DeclaredChecksum { kind: ChecksumKind::Crc32, value: DeclaredValue::Trailer(_) }] =
            &declared.checksums[..]
        else {
            panic!("one trailer was declared");
        };
        let value = declared.checksums.into_iter().next().map(|sum| sum.value);
        let Some(DeclaredValue::Trailer(take)) = value else { panic!("it is the trailer") };
        assert_eq!(take(), None);
    }

    #[test]
    fn trailers_of_other_kinds_are_refused() {
        let check = |names| code(declared(None, given(&[]), &trailer(names), None));
        assert_eq!(check("X-Amz-Checksum-Sha256"), "accepted");
        assert_eq!(check("x-amz-checksum-sha512"), "NotImplemented");
        assert_eq!(check("x-amz-meta-late"), "InvalidRequest");
        assert_eq!(check("x-amz-checksum-sha1, x-amz-checksum-crc32"), "InvalidRequest");
    }

    #[test]
    fn types_that_an_algorithm_does_not_have() {
        use ChecksumKind as K;
        let fits = |kind, composite| check_type(Some(kind), Some(composite)).is_ok();
        for (kind, whole, parts) in
            [(K::Crc32, true, true), (K::Crc32c, true, true), (K::Crc64nvme, true, false), (K::Sha1, false, true)]
        {
            assert_eq!((fits(kind, false), fits(kind, true)), (whole, parts), "{kind:?}");
        }
        assert!(!fits(K::Sha256, false) && fits(K::Sha256, true));
        assert!(check_type(None, Some(true)).is_ok() && check_type(Some(K::Sha1), None).is_ok());
    }

    #[test]
    fn algorithms_go_there_and_back() {
        for kind in KINDS {
            assert_eq!(kind_of(&algorithm(kind)).ok(), Some(kind));
        }
        assert!(kind_of(&ChecksumAlgorithm::from_static("SHA512")).is_err());
    }
}
