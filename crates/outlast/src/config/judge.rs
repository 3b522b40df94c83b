//! Raw to typed: everything that needs more than one value to be judged, and the defaults.

use super::address::parse_listen;
use super::mistake::{At, Mistakes};
use super::raw::{Raw, RawLedger, RawLog, RawPlacement, RawS3, RawTimeouts, RawUser};
use super::section::did_you_mean;
use super::stores::judge_stores;
use super::typed::*;
use super::world::World;
use outlast_rules::{BucketName, Placement, StoreName, Undelete};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;

/// Below this many bytes not even one body of 16 MiB is received whole, and everything goes through files.
const BODY_MEMORY_MIN: u64 = 16 << 20;
/// A canary more often than this is a load of its own.
const CANARY_MS_MIN: u64 = 1_000;
/// It guards the names and headers of all objects, on stores that others may read.
const LEDGER_KEY_LENGTH_MIN: usize = 16;
/// A request to every store more often than this is a load of its own.
const SHIP_MS_MIN: u64 = 1_000;
/// Each snapshot is the whole ledger.
const SNAPSHOT_MS_MIN: u64 = 10 * 60_000;
/// Fewer characters than this are guessed, not stolen; clients refuse shorter ones too.
const SECRET_LENGTH_MIN: usize = 8;

/// A configuration for what was typed. Where a mistake was told, it is filled with defaults and must not be used.
pub fn judge(raw: &Raw, world: &World<'_>, told: &mut Mistakes) -> Config {
    let timeouts = judge_timeouts(&raw.timeouts, told);
    let data_dir = world.path(raw.data_dir.as_ref().map_or(DATA_DIR_DEFAULT, |dir| &dir.value));
    let stores = judge_stores(raw, &data_dir, &timeouts, world, told);
    // Names that were typed, good or bad, so that one mistake in a store isn't told once per bucket.
    let typed: Vec<&str> = raw.stores.iter().map(|store| store.name.value.as_str()).collect();
    let all: Vec<StoreName> = raw.stores.iter().filter_map(|store| StoreName::parse(&store.name.value).ok()).collect();
    let everywhere = Placement { stores: all, min_copies: MIN_COPIES_DEFAULT, spool_counts: true };
    if raw.stores.is_empty() {
        told.error(
            &(0..0),
            "no store is configured",
            "add [store.NAME] with kind = \"disk\", \"s3\", \"azure\" or \"gcs\"; two or more make sense",
        );
    }
    let defaults = judge_placement(&raw.defaults, &everywhere, &typed, told);
    let undelete_default = judge_undelete(&raw.defaults, Undelete::default(), told);
    let mut buckets = BTreeMap::new();
    let mut undelete = BTreeMap::new();
    for bucket in &raw.buckets {
        let Some(name) = bucket.bucket.as_ref() else { continue };
        let placement = judge_placement(bucket, &defaults, &typed, told);
        match BucketName::parse(&name.value) {
            Ok(name) => {
                undelete.insert(name.clone(), judge_undelete(bucket, undelete_default, told));
                buckets.insert(name, placement);
            }
            Err(error) => told.error(&name.span, format!("[bucket.{}] {error}", name.value), "rename it"),
        }
    }
    let (s3, admin) = judge_listeners(raw, world, told);
    let body_memory_max = raw.memory_bodies.as_ref().map_or(BODY_MEMORY_DEFAULT, |size| size.value);
    if let Some(typed) = raw.memory_bodies.as_ref().filter(|size| size.value < BODY_MEMORY_MIN) {
        told.error(&typed.span, "[memory] bodies is less than 16MiB", "one body of 16 MiB must fit");
    }
    if let Some(typed) = raw.canary_every.as_ref().filter(|every| every.value < CANARY_MS_MIN) {
        told.error(&typed.span, "[canary] every is less than 1s", "leave it out: 60s where requests cost money");
    }
    Config {
        data_dir,
        s3,
        admin,
        users: judge_users(&raw.users, world, told),
        stores,
        defaults,
        buckets,
        undelete_default,
        undelete,
        timeouts,
        body_memory_max,
        spool_max: raw.spool_max.as_ref().map_or(SPOOL_MAX_DEFAULT, |size| size.value),
        canary_every_ms: raw.canary_every.as_ref().map(|every| every.value),
        ledger: judge_ledger(&raw.ledger, world, told),
        log: judge_log(&raw.log, told),
    }
}

fn judge_ledger(raw: &RawLedger, world: &World<'_>, told: &mut Mistakes) -> LedgerConfig {
    let key = raw.key.as_ref().and_then(|typed| {
        let key = world.secret("[ledger] key", typed, told)?;
        if key.reveal().len() < LEDGER_KEY_LENGTH_MIN {
            let what = format!("[ledger] key has fewer than {LEDGER_KEY_LENGTH_MIN} characters");
            told.error(&typed.span, what, "make one: openssl rand -base64 30");
        }
        Some(key)
    });
    let mut every = |typed: &Option<At<u64>>, key: &str, least: u64, words: &str, usual: u64| match typed {
        Some(typed) if typed.value < least => {
            told.error(&typed.span, format!("[ledger] {key} is less than {words}"), "leave it out for the default");
            usual
        }
        Some(typed) => typed.value,
        None => usual,
    };
    LedgerConfig {
        key,
        ship_every_ms: every(&raw.ship_every, "ship_every", SHIP_MS_MIN, "1s", SHIP_MS_DEFAULT),
        snapshot_every_ms: every(&raw.snapshot_every, "snapshot_every", SNAPSHOT_MS_MIN, "10m", SNAPSHOT_MS_DEFAULT),
    }
}

fn judge_timeouts(raw: &RawTimeouts, told: &mut Mistakes) -> Timeouts {
    let usual = Timeouts::default();
    let mut take = |typed: &Option<At<u64>>, key: &str, usual: u64| match typed {
        Some(typed) if typed.value == 0 => {
            told.error(
                &typed.span,
                format!("[timeouts] {key} is 0"),
                "no call can end in no time; leave it out for the default",
            );
            usual
        }
        Some(typed) => typed.value,
        None => usual,
    };
    let timeouts = Timeouts {
        connect_ms: take(&raw.connect, "connect", usual.connect_ms),
        first_byte_ms: take(&raw.first_byte, "first_byte", usual.first_byte_ms),
        idle_ms: take(&raw.idle, "idle", usual.idle_ms),
        request_ms: take(&raw.request, "request", usual.request_ms),
        commit_ms: take(&raw.commit, "commit", usual.commit_ms),
    };
    for (typed, key) in [(&raw.connect, "connect"), (&raw.first_byte, "first_byte"), (&raw.idle, "idle")] {
        if let Some(typed) = typed.as_ref().filter(|typed| typed.value > timeouts.request_ms) {
            let what = format!("[timeouts] {key} is longer than request, which ends the call before");
            told.error(&typed.span, what, "make it shorter, or request longer");
        }
    }
    timeouts
}

/// A century: longer, and a clock that jumps is more likely than a wish.
const UNDELETE_DAYS_MAX: usize = 36_500;

/// `over`: what holds where this section says nothing.
fn judge_undelete(raw: &RawPlacement, over: Undelete, told: &mut Mistakes) -> Undelete {
    let mut undelete = over;
    if let Some(days) = &raw.undelete_days {
        if days.value > UNDELETE_DAYS_MAX {
            told.error(&days.span, "undelete_days is more than a century", "write days: 7, 30, 365");
        }
        undelete.window_ms = (days.value.min(UNDELETE_DAYS_MAX) as u64) * 24 * 3600 * 1000;
    }
    if let Some(overwrites) = &raw.undelete_overwrites {
        undelete.overwrites = overwrites.value;
    }
    undelete
}

/// `over`: what holds where this section says nothing.
fn judge_placement(raw: &RawPlacement, over: &Placement, typed: &[&str], told: &mut Mistakes) -> Placement {
    let says = raw.bucket.as_ref().map_or("[defaults]".to_owned(), |bucket| format!("[bucket.{}]", bucket.value));
    let mut placement = over.clone();
    if let Some(list) = &raw.stores {
        placement.stores.clear();
        for name in &list.value {
            match StoreName::parse(&name.value) {
                Ok(store) if placement.stores.contains(&store) => {
                    told.error(
                        &name.span,
                        format!("{says} stores names {store} twice"),
                        "one copy per store: name it once",
                    );
                }
                Ok(store) if typed.contains(&name.value.as_str()) => placement.stores.push(store),
                _ => {
                    let what = format!("{says} stores names {:?}, but there is no [store.{}]", name.value, name.value);
                    told.error(&name.span, what, did_you_mean(&name.value, typed.iter().copied()));
                }
            }
        }
        if list.value.is_empty() {
            told.error(&list.span, format!("{says} stores is empty"), "leave it out to use every store");
        }
    }
    if let Some(min_copies) = &raw.min_copies {
        placement.min_copies = min_copies.value;
    }
    if let Some(spool_counts) = &raw.spool_counts {
        placement.spool_counts = spool_counts.value;
    }
    judge_copies(raw, &says, &placement, told);
    placement
}

/// Can this many copies stand on that many stores?
fn judge_copies(raw: &RawPlacement, says: &str, placement: &Placement, told: &mut Mistakes) {
    let span: Range<usize> = match (&raw.min_copies, &raw.stores) {
        (Some(min_copies), _) => min_copies.span.clone(),
        (None, Some(list)) => list.span.clone(),
        // Nothing is said here: what is wrong was told where it was said.
        (None, None) if raw.bucket.is_some() => return,
        (None, None) => 0..0,
    };
    // A store that is named and missing was told already; it is counted as meant.
    let meant = raw.stores.as_ref().map_or(placement.stores.len(), |list| list.value.len());
    let min_copies = placement.min_copies;
    let stores = if meant == 1 { "store".to_owned() } else { format!("{meant} stores") };
    if min_copies == 0 {
        told.error(&span, format!("{says} min_copies is 0"), "a write that stands nowhere is lost: use 2");
    } else if min_copies > meant && meant > 0 {
        let what = format!("{says} min_copies {min_copies} exceeds its {stores}");
        let help = match meant {
            1 => "add a second store; with one, min_copies = 1 keeps nothing when it dies".to_owned(),
            _ => format!("use min_copies = {}, or add stores", meant.min(MIN_COPIES_DEFAULT)),
        };
        told.error(&span, what, help);
    } else if min_copies == 1 {
        let what = format!("{says} min_copies is 1: a write is acknowledged when one store holds it");
        told.warn(&span, what, "whoever loses that store loses what the others have not got yet: use 2");
    } else if min_copies == meant && !placement.spool_counts {
        let what = format!("{says} min_copies is the number of its stores and the spool does not count");
        told.warn(&span, what, "one store away refuses every write: add a store, or spool_counts = true");
    }
}

fn judge_listeners(raw: &Raw, world: &World<'_>, told: &mut Mistakes) -> (S3Listen, SocketAddr) {
    let s3 = judge_s3(&raw.s3, world, told);
    let admin = judge_address("[admin] listen", raw.admin.listen.as_ref(), ADMIN_LISTEN_DEFAULT, told);
    let (a, b) = (s3.listen, admin);
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    if a.port() != 0 && a.port() == b.port() && same_ip {
        let span = raw.admin.listen.as_ref().or(raw.s3.listen.as_ref()).map_or(0..0, |typed| typed.span.clone());
        let what = format!("[s3] and [admin] both listen on port {}", a.port());
        told.error(&span, what, "give [admin] another: \"127.0.0.1:9001\"");
    }
    if let Some(typed) = raw.admin.listen.as_ref().filter(|_| !admin.ip().is_loopback()) {
        let what = "[admin] listen can be reached from other machines, and asks nobody who they are";
        told.warn(&typed.span, what, "use \"127.0.0.1:9001\", or let a firewall or proxy guard it");
    }
    (s3, admin)
}

fn judge_s3(raw: &RawS3, world: &World<'_>, told: &mut Mistakes) -> S3Listen {
    let listen = judge_address("[s3] listen", raw.listen.as_ref(), S3_LISTEN_DEFAULT, told);
    let tls = raw.tls.as_ref().and_then(|tls| {
        let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
            told.error(
                &tls.span,
                "[s3] tls needs both certificate and key",
                "tls = { certificate = \"cert.pem\", key = \"key.pem\" }",
            );
            return None;
        };
        Some(TlsFiles {
            certificate: world.file("[s3] tls certificate", certificate, told),
            key: world.file("[s3] tls key", key, told),
        })
    });
    if let Some(typed) = raw.listen.as_ref().filter(|_| tls.is_none() && !listen.ip().is_loopback()) {
        let what =
            "[s3] listen can be reached from other machines without TLS: whoever listens on the wire reads every byte";
        told.warn(
            &typed.span,
            what,
            "add tls = { certificate = \"cert.pem\", key = \"key.pem\" }, or put a TLS proxy before it",
        );
    }
    for domain in &raw.domains {
        let good =
            !domain.value.is_empty() && domain.value.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
        if !good {
            told.error(
                &domain.span,
                format!("[s3] domains: {:?} is not a host name", domain.value),
                "write it as \"s3.example.com\"",
            );
        }
    }
    for origin in &raw.cors {
        let scheme = origin.value.starts_with("https://") || origin.value.starts_with("http://");
        if origin.value != "*" && (!scheme || origin.value.ends_with('/')) {
            let what = format!("[s3] cors: {:?} is not an origin", origin.value);
            told.error(&origin.span, what, "write it as \"https://app.example.com\" without a path, or \"*\"");
        }
    }
    S3Listen {
        listen,
        tls,
        domains: raw.domains.iter().map(|domain| domain.value.to_ascii_lowercase()).collect(),
        cors: raw.cors.iter().map(|origin| origin.value.clone()).collect(),
    }
}

fn judge_address(says: &str, typed: Option<&At<String>>, usual: &str, told: &mut Mistakes) -> SocketAddr {
    let usual: SocketAddr = usual.parse().expect("the defaults are addresses");
    let Some(typed) = typed else { return usual };
    parse_listen(&typed.value, usual).unwrap_or_else(|help| {
        told.error(&typed.span, format!("{says} {:?} is not an address", typed.value), help);
        usual
    })
}

fn judge_users(raw: &[RawUser], world: &World<'_>, told: &mut Mistakes) -> Vec<User> {
    if raw.is_empty() {
        let help = "add [user.app] with access_key = \"APP\" and secret_key = { env = \"APP_SECRET\" }";
        told.error(&(0..0), "no user is configured: nobody could sign a request", help);
    }
    let mut users: Vec<User> = Vec::new();
    // Also those whose secret was not found, so that one mistake does not hide another.
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for user in raw {
        let says = format!("[user.{}]", user.name.value);
        for (key, there) in [("access_key", user.access_key.is_some()), ("secret_key", user.secret_key.is_some())] {
            if !there {
                told.error(
                    &user.name.span,
                    format!("{says} has no {key}"),
                    format!("add: {key} = {{ env = \"NAME\" }}"),
                );
            }
        }
        let (Some(access), Some(secret)) = (&user.access_key, &user.secret_key) else { continue };
        let access_key = world.resolve(&format!("{says} access_key"), access, told);
        let secret_key = world.secret(&format!("{says} secret_key"), secret, told);
        if let Some(access_key) = &access_key
            && let Some(other) = taken.insert(access_key.clone(), &user.name.value)
        {
            let what = format!("{says} has the access key of [user.{other}]");
            told.error(&access.span, what, "an access key names one user: choose another");
        }
        if secret_key.as_ref().is_some_and(|key| key.reveal().len() < SECRET_LENGTH_MIN) {
            let what = format!("{says} secret_key has fewer than {SECRET_LENGTH_MIN} characters");
            told.warn(&secret.span, what, "make one: openssl rand -base64 30");
        }
        let (Some(access_key), Some(secret_key)) = (access_key, secret_key) else { continue };
        let delete_budget = user.delete_budget.as_ref().map(|budget| budget.value as u64);
        let delete_budgets = judge_budgets(&says, user, told);
        users.push(User { name: user.name.value.clone(), access_key, secret_key, delete_budget, delete_budgets });
    }
    users
}

fn judge_budgets(says: &str, user: &RawUser, told: &mut Mistakes) -> BTreeMap<String, u64> {
    let mut budgets = BTreeMap::new();
    for (path, limit) in &user.delete_budgets {
        let bucket = path.value.split('/').next().unwrap_or_default();
        if let Err(error) = BucketName::parse(bucket) {
            let what = format!("{says} delete_budgets {:?}: {error}", path.value);
            told.error(&path.span, what, "write BUCKET/ or BUCKET/PREFIX/, as in \"photos/tmp/\" = 50000");
            continue;
        }
        if !path.value.contains('/') {
            let what =
                format!("{says} delete_budgets {:?} has no slash: it would count for other buckets too", path.value);
            told.error(&path.span, what, format!("write \"{bucket}/\""));
            continue;
        }
        budgets.insert(path.value.clone(), limit.value as u64);
    }
    budgets
}

fn judge_log(raw: &RawLog, told: &mut Mistakes) -> Log {
    let format = match raw.format.as_ref().map(|format| format.value.as_str()) {
        None | Some("auto") => LogFormat::Auto,
        Some("human") => LogFormat::Human,
        Some("json") => LogFormat::Json,
        Some(other) => {
            let span = raw.format.as_ref().map_or(0..0, |format| format.span.clone());
            let help = did_you_mean(other, ["auto", "human", "json"].into_iter());
            told.error(&span, format!("[log] format \"{other}\" is not known"), help);
            LogFormat::Auto
        }
    };
    let filter = raw.filter.as_ref().map_or(LOG_FILTER_DEFAULT.to_owned(), |filter| filter.value.clone());
    if let (Err(error), Some(typed)) = (filter.parse::<tracing_subscriber::filter::EnvFilter>(), &raw.filter) {
        let what = format!("[log] filter {:?}: {error}", typed.value);
        told.error(&typed.span, what, "write \"info\" or \"info,outlast_engine=debug\"");
    }
    Log { format, filter }
}
