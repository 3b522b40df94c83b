//! What was typed: every section with its values and their places in the file, nothing decided yet.

use super::mistake::{At, Mistakes};
use super::section::Section;
use std::ops::Range;
use toml::de::DeValue;

#[derive(Debug, Default)]
pub struct Raw {
    pub data_dir: Option<At<String>>,
    pub s3: RawS3,
    pub admin: RawAdmin,
    pub users: Vec<RawUser>,
    pub stores: Vec<RawStore>,
    pub defaults: RawPlacement,
    pub buckets: Vec<RawPlacement>,
    pub timeouts: RawTimeouts,
    pub memory_bodies: Option<At<u64>>,
    pub spool_max: Option<At<u64>>,
    pub canary_every: Option<At<u64>>,
    pub ledger: RawLedger,
    pub log: RawLog,
}

#[derive(Debug, Default)]
pub struct RawS3 {
    pub listen: Option<At<String>>,
    pub tls: Option<RawTls>,
    pub domains: Vec<At<String>>,
    pub cors: Vec<At<String>>,
}

#[derive(Debug)]
pub struct RawTls {
    pub span: Range<usize>,
    pub certificate: Option<At<String>>,
    pub key: Option<At<String>>,
}

#[derive(Debug, Default)]
pub struct RawAdmin {
    pub listen: Option<At<String>>,
}

#[derive(Debug)]
pub struct RawUser {
    pub name: At<String>,
    pub access_key: Option<At<RawSecret>>,
    pub secret_key: Option<At<RawSecret>>,
    pub delete_budget: Option<At<usize>>,
    /// By `bucket/prefix`.
    pub delete_budgets: Vec<(At<String>, At<usize>)>,
}

/// Where a secret is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawSecret {
    Plain(super::secret::Secret),
    Env(String),
    File(String),
}

#[derive(Debug)]
pub struct RawStore {
    pub name: At<String>,
    pub kind: RawKind,
    pub settle_time: Option<At<u64>>,
    pub bucket_prefix: Option<At<String>>,
    pub buckets: Vec<(At<String>, At<String>)>,
    pub system_bucket: Option<At<String>>,
    pub price: RawPrice,
    pub deep_scrub: RawDeepScrub,
}

#[derive(Debug)]
pub enum RawKind {
    Disk(RawDisk),
    S3(Box<RawS3Store>),
    Azure(Box<RawAzure>),
    Gcs(Box<RawGcs>),
    /// `kind` is missing or unknown, which has been said.
    Unknown,
}

#[derive(Debug)]
pub struct RawDisk {
    pub path: Option<At<String>>,
    pub network_fs: Option<At<bool>>,
}

#[derive(Debug)]
pub struct RawS3Store {
    pub endpoint: Option<At<String>>,
    pub region: Option<At<String>>,
    pub access_key: Option<At<RawSecret>>,
    pub secret_key: Option<At<RawSecret>>,
    pub session_token: Option<At<RawSecret>>,
    pub path_style: Option<At<bool>>,
    pub ca_file: Option<At<String>>,
    pub metered: Option<At<bool>>,
    pub nested: Option<At<bool>>,
}

#[derive(Debug)]
pub struct RawAzure {
    pub account: Option<At<String>>,
    pub account_key: Option<At<RawSecret>>,
    pub endpoint: Option<At<String>>,
    pub path_style: Option<At<bool>>,
    pub ca_file: Option<At<String>>,
    pub metered: Option<At<bool>>,
}

#[derive(Debug)]
pub struct RawGcs {
    pub credentials: Option<At<RawSecret>>,
    pub project: Option<At<String>>,
    pub location: Option<At<String>>,
    pub endpoint: Option<At<String>>,
    pub ca_file: Option<At<String>>,
    pub metered: Option<At<bool>>,
}

#[derive(Debug, Default)]
pub struct RawPrice {
    pub write_per_1000: Option<At<f64>>,
    pub read_per_1000: Option<At<f64>>,
    pub egress_per_gib: Option<At<f64>>,
}

#[derive(Debug, Default)]
pub struct RawDeepScrub {
    pub bytes_per_day: Option<At<u64>>,
    pub money_per_day: Option<At<f64>>,
}

#[derive(Debug, Default)]
pub struct RawPlacement {
    /// The bucket's name; none for `[defaults]`.
    pub bucket: Option<At<String>>,
    pub stores: Option<At<Vec<At<String>>>>,
    pub min_copies: Option<At<usize>>,
    pub spool_counts: Option<At<bool>>,
    pub undelete_days: Option<At<usize>>,
    pub undelete_overwrites: Option<At<bool>>,
}

#[derive(Debug, Default)]
pub struct RawTimeouts {
    pub connect: Option<At<u64>>,
    pub first_byte: Option<At<u64>>,
    pub idle: Option<At<u64>>,
    pub request: Option<At<u64>>,
    pub commit: Option<At<u64>>,
}

#[derive(Debug, Default)]
pub struct RawLedger {
    pub key: Option<At<RawSecret>>,
    pub ship_every: Option<At<u64>>,
    pub snapshot_every: Option<At<u64>>,
}

#[derive(Debug, Default)]
pub struct RawLog {
    pub format: Option<At<String>>,
    pub filter: Option<At<String>>,
}

impl Raw {
    pub fn read(mut top: Section<'_>, told: &mut Mistakes) -> Raw {
        let data_dir = top.text("data_dir", told);
        let s3 = top.section("s3", told).map(|s| RawS3::read(s, told)).unwrap_or_default();
        let admin = top.section("admin", told).map(|s| RawAdmin::read(s, told)).unwrap_or_default();
        let users = top.named("user", told).into_iter().map(|(n, s)| RawUser::read(n, s, told)).collect();
        let stores = top.named("store", told).into_iter().map(|(n, s)| RawStore::read(n, s, told)).collect();
        let defaults = top.section("defaults", told).map(|s| RawPlacement::read(None, s, told)).unwrap_or_default();
        let buckets =
            top.named("bucket", told).into_iter().map(|(n, s)| RawPlacement::read(Some(n), s, told)).collect();
        let timeouts = top.section("timeouts", told).map(|s| RawTimeouts::read(s, told)).unwrap_or_default();
        let log = top.section("log", told).map(|s| RawLog::read(s, told)).unwrap_or_default();
        let ledger = top.section("ledger", told).map(|s| RawLedger::read(s, told)).unwrap_or_default();
        let memory_bodies = top.section("memory", told).and_then(|mut s| {
            let bodies = s.size("bodies", told);
            s.finish(&[], told);
            bodies
        });
        let spool_max = top.section("spool", told).and_then(|mut s| {
            let max = s.size("max", told);
            s.finish(&[], told);
            max
        });
        let canary_every = top.section("canary", told).and_then(|mut s| {
            let every = s.duration("every", told);
            s.finish(&[], told);
            every
        });
        top.finish(
            &[
                ("listen", "[s3] or [admin]"),
                ("min_copies", "[defaults]"),
                ("spool_counts", "[defaults]"),
                ("undelete_days", "[defaults]"),
            ],
            told,
        );
        Raw {
            data_dir,
            s3,
            admin,
            users,
            stores,
            defaults,
            buckets,
            timeouts,
            memory_bodies,
            spool_max,
            canary_every,
            ledger,
            log,
        }
    }
}

impl RawS3 {
    fn read(mut s: Section<'_>, told: &mut Mistakes) -> RawS3 {
        let listen = s.text("listen", told);
        let tls = s.section("tls", told).map(|mut t| {
            let tls =
                RawTls { span: t.span.clone(), certificate: t.text("certificate", told), key: t.text("key", told) };
            t.finish(&[], told);
            tls
        });
        let domains = s.texts("domains", told).map(|list| list.value).unwrap_or_default();
        let cors = s.texts("cors", told).map(|list| list.value).unwrap_or_default();
        s.finish(&[("access_key", "[user.NAME]"), ("secret_key", "[user.NAME]")], told);
        RawS3 { listen, tls, domains, cors }
    }
}

impl RawAdmin {
    fn read(mut s: Section<'_>, told: &mut Mistakes) -> RawAdmin {
        let listen = s.text("listen", told);
        s.finish(&[("tls", "[s3]; put a TLS proxy before the admin address where others must reach it")], told);
        RawAdmin { listen }
    }
}

impl RawUser {
    fn read(name: At<String>, mut s: Section<'_>, told: &mut Mistakes) -> RawUser {
        let access_key = secret(&mut s, "access_key", told);
        let secret_key = secret(&mut s, "secret_key", told);
        let delete_budget = s.count("delete_budget", told);
        let delete_budgets = s.counts("delete_budgets", told);
        s.finish(&[], told);
        RawUser { name, access_key, secret_key, delete_budget, delete_budgets }
    }
}

/// `{ env = "X" }`, `{ file = "…" }`, or the thing itself.
fn secret(s: &mut Section<'_>, key: &'static str, told: &mut Mistakes) -> Option<At<RawSecret>> {
    const HELP: &str = "write { env = \"NAME\" } or { file = \"path\" }";
    let value = s.value(key)?;
    let at = |secret| Some(At { value: secret, span: value.span() });
    match value.get_ref() {
        DeValue::String(text) if !text.is_empty() => at(RawSecret::Plain(super::secret::Secret::new(text.as_ref()))),
        DeValue::Table(table) => {
            let mut inner = Section::new(format!("{} {key}", s.name), value.span(), table);
            let env = inner.text("env", told);
            let file = inner.text("file", told);
            inner.finish(&[], told);
            match (env, file) {
                (Some(env), None) => at(RawSecret::Env(env.value)),
                (None, Some(file)) => at(RawSecret::File(file.value)),
                _ => {
                    told.error(&value.span(), format!("{} {key} needs exactly one of env and file", s.name), HELP);
                    None
                }
            }
        }
        _ => {
            told.error(&value.span(), format!("{} {key} holds neither a text nor a place to find it", s.name), HELP);
            None
        }
    }
}

impl RawStore {
    fn read(name: At<String>, mut s: Section<'_>, told: &mut Mistakes) -> RawStore {
        let kind = s.text("kind", told);
        let kind = match kind.as_ref().map(|kind| kind.value.as_str()) {
            Some("disk") => RawKind::Disk(RawDisk::read(&mut s, told)),
            Some("s3") => RawKind::S3(Box::new(RawS3Store::read(&mut s, told))),
            Some("azure") => RawKind::Azure(Box::new(RawAzure::read(&mut s, told))),
            Some("gcs") => RawKind::Gcs(Box::new(RawGcs::read(&mut s, told))),
            Some(other) => {
                let span = kind.as_ref().map_or(s.span.clone(), |kind| kind.span.clone());
                let help = super::section::did_you_mean(other, KINDS.into_iter());
                told.error(&span, format!("{} kind \"{other}\" is not known", s.name), help);
                RawKind::Unknown
            }
            None => {
                if !s.has("kind") {
                    let kind = match (s.has("account"), s.has("credentials"), s.has("endpoint")) {
                        (true, _, _) => "azure",
                        (false, true, _) => "gcs",
                        (false, false, true) => "s3",
                        (false, false, false) => "disk",
                    };
                    told.error(&s.span, format!("{} has no kind", s.name), format!("add: kind = \"{kind}\""));
                }
                RawKind::Unknown
            }
        };
        let store = RawStore {
            name,
            settle_time: s.duration("settle_time", told),
            bucket_prefix: s.text("bucket_prefix", told),
            buckets: s.pairs("buckets", told),
            system_bucket: s.text("system_bucket", told),
            price: s.section("price", told).map(|p| RawPrice::read(p, told)).unwrap_or_default(),
            deep_scrub: s.section("deep_scrub", told).map(|d| RawDeepScrub::read(d, told)).unwrap_or_default(),
            kind,
        };
        // Which keys there may be, nobody knows before the kind is known.
        if !matches!(store.kind, RawKind::Unknown) {
            s.finish(&OF_KINDS, told);
        }
        store
    }
}

const KINDS: [&str; 4] = ["disk", "s3", "azure", "gcs"];
/// For which kinds a key is, told where it is met with another.
const OF_KINDS: [(&str, &str); 16] = [
    ("path", "stores of kind \"disk\""),
    ("network_fs", "stores of kind \"disk\""),
    ("endpoint", "stores of kind \"s3\", \"azure\" and \"gcs\""),
    ("path_style", "stores of kind \"s3\" and \"azure\""),
    ("ca_file", "stores of kind \"s3\", \"azure\" and \"gcs\""),
    ("metered", "stores of kind \"s3\", \"azure\" and \"gcs\""),
    ("region", "stores of kind \"s3\""),
    ("access_key", "stores of kind \"s3\""),
    ("secret_key", "stores of kind \"s3\""),
    ("session_token", "stores of kind \"s3\""),
    ("nested", "stores of kind \"s3\""),
    ("account", "stores of kind \"azure\""),
    ("account_key", "stores of kind \"azure\""),
    ("credentials", "stores of kind \"gcs\""),
    ("project", "stores of kind \"gcs\""),
    ("location", "stores of kind \"gcs\""),
];

impl RawDisk {
    fn read(s: &mut Section<'_>, told: &mut Mistakes) -> RawDisk {
        RawDisk { path: s.text("path", told), network_fs: s.truth("network_fs", told) }
    }
}

impl RawS3Store {
    fn read(s: &mut Section<'_>, told: &mut Mistakes) -> RawS3Store {
        RawS3Store {
            endpoint: s.text("endpoint", told),
            region: s.text("region", told),
            access_key: secret(s, "access_key", told),
            secret_key: secret(s, "secret_key", told),
            session_token: secret(s, "session_token", told),
            path_style: s.truth("path_style", told),
            ca_file: s.text("ca_file", told),
            metered: s.truth("metered", told),
            nested: s.truth("nested", told),
        }
    }
}

impl RawAzure {
    fn read(s: &mut Section<'_>, told: &mut Mistakes) -> RawAzure {
        RawAzure {
            account: s.text("account", told),
            account_key: secret(s, "account_key", told),
            endpoint: s.text("endpoint", told),
            path_style: s.truth("path_style", told),
            ca_file: s.text("ca_file", told),
            metered: s.truth("metered", told),
        }
    }
}

impl RawGcs {
    fn read(s: &mut Section<'_>, told: &mut Mistakes) -> RawGcs {
        RawGcs {
            credentials: secret(s, "credentials", told),
            project: s.text("project", told),
            location: s.text("location", told),
            endpoint: s.text("endpoint", told),
            ca_file: s.text("ca_file", told),
            metered: s.truth("metered", told),
        }
    }
}

impl RawPrice {
    fn read(mut s: Section<'_>, told: &mut Mistakes) -> RawPrice {
        let price = RawPrice {
            write_per_1000: s.amount("write_per_1000", told),
            read_per_1000: s.amount("read_per_1000", told),
            egress_per_gib: s.amount("egress_per_gib", told),
        };
        s.finish(&[], told);
        price
    }
}

impl RawDeepScrub {
    fn read(mut s: Section<'_>, told: &mut Mistakes) -> RawDeepScrub {
        let deep = RawDeepScrub {
            bytes_per_day: s.size("bytes_per_day", told),
            money_per_day: s.amount("money_per_day", told),
        };
        s.finish(&[], told);
        deep
    }
}

impl RawPlacement {
    fn read(bucket: Option<At<String>>, mut s: Section<'_>, told: &mut Mistakes) -> RawPlacement {
        let placement = RawPlacement {
            bucket,
            stores: s.texts("stores", told),
            min_copies: s.count("min_copies", told),
            spool_counts: s.truth("spool_counts", told),
            undelete_days: s.count("undelete_days", told),
            undelete_overwrites: s.truth("undelete_overwrites", told),
        };
        s.finish(&[], told);
        placement
    }
}

impl RawTimeouts {
    fn read(mut s: Section<'_>, told: &mut Mistakes) -> RawTimeouts {
        let timeouts = RawTimeouts {
            connect: s.duration("connect", told),
            first_byte: s.duration("first_byte", told),
            idle: s.duration("idle", told),
            request: s.duration("request", told),
            commit: s.duration("commit", told),
        };
        s.finish(&[], told);
        timeouts
    }
}

impl RawLedger {
    fn read(mut s: Section<'_>, told: &mut Mistakes) -> RawLedger {
        let ledger = RawLedger {
            key: secret(&mut s, "key", told),
            ship_every: s.duration("ship_every", told),
            snapshot_every: s.duration("snapshot_every", told),
        };
        s.finish(&[], told);
        ledger
    }
}

impl RawLog {
    fn read(mut s: Section<'_>, told: &mut Mistakes) -> RawLog {
        let log = RawLog { format: s.text("format", told), filter: s.text("filter", told) };
        s.finish(&[], told);
        log
    }
}
