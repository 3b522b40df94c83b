//! From an error of a store to what somebody can do about it: one line, for who sees the words for the first time.

use crate::{Cause, Fault, StoreError};

/// What to do, without the `help:` before it. None: the error says it all, or nobody can do anything.
pub fn help(error: &StoreError) -> Option<String> {
    let code = error.code.as_deref();
    if let Some(bucket) = missing_bucket(error) {
        return Some(format!(
            "these keys may not make buckets: make {bucket} at the service yourself, or allow these keys to; an existing \
             bucket is used instead with: system_bucket = \"NAME\""
        ));
    }
    let by_class = match error.fault {
        // Azure has one code for a wrong key and a wrong clock.
        Fault::ClockSkew => Some(CLOCK),
        // Only a service has a status: a disk says no to the user of this process.
        Fault::Denied if error.status.is_none() && code.is_none() => Some(OWNER),
        fault => code.and_then(of_code).or_else(|| of_fault(fault)),
    };
    error.cause.as_ref().map(of_cause).or_else(|| by_class.map(str::to_owned))
}

/// The bucket that could not be made for want of a right, where the keys themselves are in order.
fn missing_bucket(error: &StoreError) -> Option<&str> {
    let is_right_only = matches!(error.code.as_deref(), None | Some("AccessDenied" | "AuthorizationFailure"));
    let bucket = error.what.strip_prefix("create bucket ")?;
    (error.fault == Fault::Denied && is_right_only).then_some(bucket)
}

fn of_cause(cause: &Cause) -> String {
    let words = match cause {
        Cause::NotTls => {
            "what listens there does not speak TLS: write http:// into endpoint, or the port on which it speaks TLS"
        }
        Cause::TlsWanted => "what listens there speaks TLS only: write https:// into endpoint",
        Cause::NotHttp => {
            "what listens there does not speak plain HTTP: where it speaks TLS, write https:// into endpoint; else the port is \
             another service's"
        }
        Cause::IssuerUnknown => {
            "nobody trusted here has signed its certificate: where the issuer is your own, write its certificate into \
             ca_file = \"ca.pem\""
        }
        Cause::CertificateExpired => {
            "renew the certificate at the service; where it is valid in truth, the clock of this machine is wrong"
        }
        Cause::CertificateNotYetValid => "set the clock of this machine, or wait until the certificate is valid",
        Cause::OtherHost => {
            "write into endpoint the host that the certificate names, or give the service a certificate for this one"
        }
        Cause::Page => {
            "that is a web page, no answer of a storage service: write the address of its API into endpoint, not that of its \
             console or of a proxy before it"
        }
        Cause::Region(region) => return format!("write region = \"{region}\""),
    };
    words.to_owned()
}

fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "SignatureDoesNotMatch" | "InvalidSignature" => {
            "the secret key does not belong to this access key: copy secret_key again, whole and without blanks; a new pair of \
             keys is the other way"
        }
        "InvalidAccessKeyId" => {
            "the service does not know this access key: copy access_key again; it may have been deleted, or be that of another \
             service or account"
        }
        "AuthorizationHeaderMalformed" => {
            "region or access_key is not what this service expects: the service's own words above, or its console, tell its region"
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "IllegalLocationConstraintException"
        | "InvalidLocationConstraint"
        | "InvalidRegion" => {
            "region and endpoint do not belong together: write the region of this endpoint, as the service's console tells it"
        }
        "RequestTimeTooSkewed" => CLOCK,
        "ExpiredToken" | "InvalidToken" => {
            "session_token has run out: take new keys, or keys that need no session_token"
        }
        "AuthenticationFailed" => {
            "account_key is not this account's key: copy it again from the portal; it may have been renewed there"
        }
        "AccountProblem" | "AllAccessDisabled" | "AccountIsDisabled" | "NotSignedUp" | "PaymentRequired"
        | "UserSuspended" => "the account is closed or suspended: look at the service's console, its bills first",
        "invalid_grant" => {
            "the service account's key is not valid: make a new one, and look at the clock of this machine"
        }
        "BucketAlreadyExists" => {
            "somebody else has a bucket of this name, which all customers of the service share: choose another bucket_prefix"
        }
        "AccessDenied" | "AuthorizationFailure" | "AuthorizationPermissionMismatch" => RIGHTS,
        _ => return None,
    })
}

const CLOCK: &str = "set the clock of this machine (timedatectl set-ntp true), or that of the service: fifteen minutes apart is too much";
const OWNER: &str =
    "the user that runs Outlast may not write there: give it the folder with chown, or let it in with chmod";
const RIGHTS: &str = "look at the keys: they have to be the ones that are meant, and may list, read, write and delete in the buckets of this store";

fn of_fault(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::NameNotResolved => {
            "is the host in endpoint right, and does this machine's DNS answer? Where each bucket has a host of its own, \
             path_style = true may be needed"
        }
        Fault::ConnectRefused => "is the service started, and are host and port in endpoint right?",
        Fault::Unreachable => {
            "is there a way from this machine to the host in endpoint: its network, a VPN, a firewall?"
        }
        Fault::Timeout => {
            "a firewall that drops packets, a wrong port, or a service that hangs: try the host and port of endpoint by hand"
        }
        Fault::Certificate => "look at the certificate of the service, and at the clock of this machine",
        Fault::Denied => RIGHTS,
        Fault::ClockSkew => CLOCK,
        Fault::Full => "make room there, or raise the quota: writes to it go on by themselves",
        Fault::NotMounted => "mount the disk; it is used from then on",
        Fault::Disk => "look at the disk and at the kernel's log (dmesg): a read-only mount or a dying disk",
        Fault::NoKey
        | Fault::NoBucket
        | Fault::NoUpload
        | Fault::Precondition
        | Fault::Throttled
        | Fault::Unsupported
        | Fault::BadRequest
        | Fault::Server
        | Fault::Broken
        | Fault::BadAnswer
        | Fault::Body
        | Fault::Identity => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Applied;
    use outlast_rules::StoreName;
    use std::time::Duration;

    fn error(what: &str, fault: Fault, code: Option<&str>, cause: Option<Cause>) -> StoreError {
        StoreError {
            store: StoreName::parse("b2").expect("a name"),
            what: what.to_owned(),
            fault,
            applied: Applied::No,
            status: Some(400),
            code: code.map(str::to_owned),
            message: String::new(),
            request_id: None,
            cause,
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn what_to_do() {
        let table: [(Fault, &str, Option<Cause>, &str); 25] = [
            (Fault::Denied, "SignatureDoesNotMatch", None, "copy secret_key again"),
            (Fault::Denied, "InvalidAccessKeyId", None, "copy access_key again"),
            (Fault::BadRequest, "AuthorizationHeaderMalformed", None, "region or access_key"),
            (
                Fault::BadRequest,
                "AuthorizationHeaderMalformed",
                Some(Cause::Region("eu-west-1".into())),
                "region = \"eu-west-1\"",
            ),
            (Fault::BadRequest, "", Some(Cause::Region("eu-west-1".into())), "region = \"eu-west-1\""),
            (Fault::BadRequest, "PermanentRedirect", None, "region and endpoint do not belong together"),
            (Fault::ClockSkew, "RequestTimeTooSkewed", None, "timedatectl"),
            (Fault::ClockSkew, "", None, "timedatectl"),
            (Fault::Denied, "AccessDenied", None, "list, read, write and delete"),
            (Fault::Denied, "", None, "look at the keys"),
            (Fault::BadRequest, "BucketAlreadyExists", None, "bucket_prefix"),
            (Fault::Denied, "ExpiredToken", None, "session_token has run out"),
            (Fault::Denied, "AccountProblem", None, "bills"),
            (Fault::Broken, "", Some(Cause::NotTls), "write http://"),
            (Fault::BadRequest, "", Some(Cause::TlsWanted), "write https://"),
            (Fault::BadAnswer, "", Some(Cause::NotHttp), "write https://"),
            (Fault::Certificate, "", Some(Cause::IssuerUnknown), "ca_file"),
            (Fault::Certificate, "", Some(Cause::CertificateExpired), "renew"),
            (Fault::Certificate, "", Some(Cause::CertificateNotYetValid), "clock"),
            (Fault::Certificate, "", Some(Cause::OtherHost), "the host that the certificate names"),
            (Fault::BadAnswer, "", Some(Cause::Page), "the address of its API"),
            (Fault::NameNotResolved, "", None, "DNS"),
            (Fault::ConnectRefused, "", None, "host and port in endpoint"),
            (Fault::Timeout, "", None, "firewall"),
            (Fault::Full, "", None, "make room"),
        ];
        for (fault, code, cause, words) in table {
            let error = error("get b/k", fault, Some(code).filter(|code| !code.is_empty()), cause);
            let told = help(&error).unwrap_or_default();
            assert!(told.contains(words), "{error:?}: {words:?} is not in {told:?}");
            assert!(!told.contains('\n') && !told.contains("  "), "one line: {told:?}");
        }
        assert_eq!(help(&error("get b/k", Fault::NoKey, Some("NoSuchKey"), None)), None);
        let disk = StoreError { status: None, ..error("put b/k", Fault::Denied, None, None) };
        assert!(help(&disk).is_some_and(|told| told.contains("chown")), "{disk:?}");
        let azure = error("get b/k", Fault::ClockSkew, Some("AuthenticationFailed"), None);
        assert!(help(&azure).is_some_and(|told| told.contains("timedatectl")), "{azure:?}");
    }

    /// A missing right is not a wrong key: each has its own words, also where a bucket was to be made.
    #[test]
    fn a_bucket_that_may_not_be_made() {
        let told =
            |code: &str| help(&error("create bucket acme-home", Fault::Denied, Some(code), None)).unwrap_or_default();
        assert!(told("AccessDenied").contains("make acme-home at the service yourself"), "{}", told("AccessDenied"));
        assert!(told("SignatureDoesNotMatch").contains("copy secret_key again"), "{}", told("SignatureDoesNotMatch"));
        let other = help(&error("put acme-home/k", Fault::Denied, Some("AccessDenied"), None)).unwrap_or_default();
        assert!(!other.contains("make acme-home"), "{other}");
    }
}
