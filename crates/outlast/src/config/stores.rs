//! Stores: is each one whole, and are they really different places?

use super::mistake::Mistakes;
use super::raw::{Raw, RawDisk, RawKind, RawStore};
use super::services::{judge_azure, judge_gcs, judge_s3_store};
use super::typed::*;
use super::world::{World, device_of, real_path};
use outlast_rules::{Allowed, BucketName, StoreName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub fn judge_stores(
    raw: &Raw,
    data_dir: &Path,
    timeouts: &Timeouts,
    world: &World<'_>,
    told: &mut Mistakes,
) -> BTreeMap<StoreName, StoreConfig> {
    let mut stores = BTreeMap::new();
    let mut judged: Vec<(&RawStore, StoreConfig)> = Vec::new();
    for store in &raw.stores {
        let name = StoreName::parse(&store.name.value);
        if name.is_err() {
            let what = format!("[store.{}] is no name for a store", store.name.value);
            told.error(
                &store.name.span,
                what,
                "1 to 32 lower-case letters, digits, '-' and '_', a letter or digit first",
            );
        }
        let config = judge_store(store, timeouts, world, told);
        if let (Ok(name), Some(config)) = (name, config) {
            judged.push((store, config.clone()));
            stores.insert(name, config);
        }
    }
    for (at, (store, config)) in judged.iter().enumerate() {
        for (other, earlier) in &judged[..at] {
            judge_apart(store, config, other, earlier, told);
        }
        judge_data_dir(store, config, data_dir, told);
    }
    stores
}

fn judge_store(store: &RawStore, timeouts: &Timeouts, world: &World<'_>, told: &mut Mistakes) -> Option<StoreConfig> {
    let says = format!("[store.{}]", store.name.value);
    let kind = match &store.kind {
        RawKind::Disk(disk) => judge_disk(store, disk, &says, world, told).map(StoreKind::Disk),
        RawKind::S3(s3) => judge_s3_store(store, s3, &says, world, told).map(|s3| StoreKind::S3(Box::new(s3))),
        RawKind::Azure(azure) => {
            judge_azure(store, azure, &says, world, told).map(|azure| StoreKind::Azure(Box::new(azure)))
        }
        RawKind::Gcs(gcs) => judge_gcs(store, gcs, &says, world, told).map(|gcs| StoreKind::Gcs(Box::new(gcs))),
        RawKind::Unknown => None,
    };
    if let Some(settle) = store.settle_time.as_ref().filter(|settle| settle.value < timeouts.request_ms) {
        let what = format!("{says} settle_time is shorter than a request may live");
        let request = super::units::duration_text(timeouts.request_ms);
        let help =
            format!("a late call could overwrite what it no longer guards: at least [timeouts] request ({request})");
        told.error(&settle.span, what, help);
    }
    let mut buckets = BTreeMap::new();
    for (client, native) in &store.buckets {
        match BucketName::parse(&client.value) {
            Ok(client) => drop(buckets.insert(client, native.value.clone())),
            Err(error) => told.error(&client.span, format!("{says} buckets: {}: {error}", client.value), "rename it"),
        }
        if let Some((twin, _)) =
            store.buckets.iter().find(|(c, n)| n.value == native.value && c.span.start < client.span.start)
        {
            let what = format!("{says} buckets: {} and {} are both {}", twin.value, client.value, native.value);
            told.error(&native.span, what, "two buckets cannot share a native bucket");
        }
    }
    judge_native_names(store, &says, told);
    let names = Names {
        prefix: store.bucket_prefix.as_ref().map(|prefix| prefix.value.clone()).unwrap_or_default(),
        buckets,
        system_bucket: store.system_bucket.as_ref().map(|bucket| bucket.value.clone()),
    };
    let price = Price {
        write_per_1000: store.price.write_per_1000.as_ref().map(|amount| amount.value),
        read_per_1000: store.price.read_per_1000.as_ref().map(|amount| amount.value),
        egress_per_gib: store.price.egress_per_gib.as_ref().map(|amount| amount.value),
    };
    let deep_scrub = Allowed {
        bytes_a_day: store.deep_scrub.bytes_per_day.as_ref().map(|size| size.value),
        money_a_day: store.deep_scrub.money_per_day.as_ref().map(|amount| amount.value),
        read_price: price.read_per_1000.unwrap_or(0.0) / 1000.0,
        gib_price: price.egress_per_gib.unwrap_or(0.0),
    };
    if let Some(money) = &store.deep_scrub.money_per_day
        && price.read_per_1000.is_none()
        && price.egress_per_gib.is_none()
    {
        let what = format!("{says} deep_scrub money_per_day limits nothing: no price is known here");
        told.warn(
            &money.span,
            what,
            "add price = { read_per_1000 = 0.0004, egress_per_gib = 0.09 }, or use bytes_per_day",
        );
    }
    let settle_ms = store.settle_time.as_ref().map(|settle| settle.value);
    Some(StoreConfig { kind: kind?, names, settle_ms, price, deep_scrub })
}

/// What every kind of store takes in a bucket's name, and some of them no more than that.
fn judge_native_names(store: &RawStore, says: &str, told: &mut Mistakes) {
    const HELP: &str = "letters, digits, '-', '.' and '_', 63 at most, a letter or digit first";
    let fits = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        name.len() <= 63 && name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    if let Some(prefix) = store.bucket_prefix.as_ref().filter(|prefix| !prefix.value.is_empty() && !fits(&prefix.value))
    {
        told.error(&prefix.span, format!("{says} bucket_prefix \"{}\" begins no bucket's name", prefix.value), HELP);
    }
    let named = store.buckets.iter().map(|(_, native)| native).chain(&store.system_bucket);
    for native in named.filter(|native| !fits(&native.value)) {
        told.error(&native.span, format!("{says}: no bucket can be called \"{}\"", native.value), HELP);
    }
}

fn judge_disk(
    store: &RawStore,
    disk: &RawDisk,
    says: &str,
    world: &World<'_>,
    told: &mut Mistakes,
) -> Option<DiskConfig> {
    let Some(path) = &disk.path else {
        told.error(&store.name.span, format!("{says} has no path"), "add: path = \"/srv/objects\"");
        return None;
    };
    let real = world.path(&path.value);
    if real.exists() && !real.is_dir() {
        told.error(&path.span, format!("{says} path {} is not a folder", real.display()), "name a folder");
    }
    Some(DiskConfig { path: real, network_fs: disk.network_fs.as_ref().is_some_and(|is| is.value) })
}

/// Two stores that are one place are no two places.
fn judge_apart(store: &RawStore, config: &StoreConfig, other: &RawStore, earlier: &StoreConfig, told: &mut Mistakes) {
    let says = format!("[store.{}]", store.name.value);
    let twin = format!("[store.{}]", other.name.value);
    match (&config.kind, &earlier.kind) {
        (StoreKind::Disk(here), StoreKind::Disk(there)) => {
            let span = disk_span(store);
            let (a, b) = (real_path(&here.path), real_path(&there.path));
            if a == b {
                let what = format!("{says} and {twin} are the same folder, {}", a.display());
                told.error(&span, what, "a second copy in one folder is no second copy: name another disk");
            } else if a.starts_with(&b) || b.starts_with(&a) {
                let (inner, outer) = if a.starts_with(&b) { (&says, &twin) } else { (&twin, &says) };
                let what = format!("the folder of {inner} lies inside the folder of {outer}");
                told.error(&span, what, "its files would be listed as the other's objects: put them side by side");
            } else if device_of(&a).is_some() && device_of(&a) == device_of(&b) {
                let what = format!("{says} and {twin} lie on one file system");
                told.warn(&span, what, "they fail together: good for a trial, not two independent places");
            }
        }
        _ => judge_services_apart(store, config, &twin, earlier, told),
    }
}

fn judge_services_apart(
    store: &RawStore,
    config: &StoreConfig,
    twin: &str,
    earlier: &StoreConfig,
    told: &mut Mistakes,
) {
    let (Some(here), Some(there)) = (config.kind.service(), earlier.kind.service()) else { return };
    if here != there {
        return;
    }
    let says = format!("[store.{}]", store.name.value);
    let span = service_span(store);
    match shared_bucket(&config.names, &earlier.names) {
        Some(shared) => {
            let what = format!("{says} and {twin} are the same place: {here} {shared}");
            told.error(&span, what, "two stores need different buckets at least; better, different vendors");
        }
        None => {
            let what = format!("{says} and {twin} have one endpoint, {here}");
            told.warn(&span, what, "they fail together: two independent places are two vendors or regions");
        }
    }
}

/// What two stores of one endpoint would both write to.
fn shared_bucket(a: &Names, b: &Names) -> Option<String> {
    if a.prefix == b.prefix {
        return Some(match a.prefix.as_str() {
            "" => "with no bucket_prefix".to_owned(),
            prefix => format!("with bucket_prefix \"{prefix}\""),
        });
    }
    if let Some(bucket) = a.system_bucket.as_ref().filter(|_| a.system_bucket == b.system_bucket) {
        return Some(format!("system_bucket \"{bucket}\""));
    }
    let shared = a.buckets.values().find(|native| b.buckets.values().any(|other| other == *native));
    shared.map(|native| format!("bucket \"{native}\""))
}

/// Our own memory must not be listed as somebody's object.
fn judge_data_dir(store: &RawStore, config: &StoreConfig, data_dir: &Path, told: &mut Mistakes) {
    let StoreKind::Disk(disk) = &config.kind else { return };
    let (disk, data) = (real_path(&disk.path), real_path(data_dir));
    let says = format!("[store.{}]", store.name.value);
    if data.starts_with(&disk) {
        let what = format!("data_dir {} lies inside the folder of {says}", data_dir.display());
        told.error(&disk_span(store), what, "the ledger would be listed as an object: put them side by side");
    } else if own_folders(&data).iter().any(|own| disk.starts_with(own)) {
        let what = format!("{says} lies where data_dir keeps its own files");
        told.error(&disk_span(store), what, "choose a folder that is not ledger or spool of data_dir");
    }
}

fn own_folders(data_dir: &Path) -> [PathBuf; 2] {
    [data_dir.join("ledger"), data_dir.join("spool")]
}

fn disk_span(store: &RawStore) -> std::ops::Range<usize> {
    match &store.kind {
        RawKind::Disk(RawDisk { path: Some(path), .. }) => path.span.clone(),
        _ => store.name.span.clone(),
    }
}

fn service_span(store: &RawStore) -> std::ops::Range<usize> {
    let said = match &store.kind {
        RawKind::S3(s3) => s3.endpoint.as_ref(),
        RawKind::Azure(azure) => azure.endpoint.as_ref().or(azure.account.as_ref()),
        RawKind::Gcs(gcs) => gcs.endpoint.as_ref(),
        RawKind::Disk(_) | RawKind::Unknown => None,
    };
    said.map_or(store.name.span.clone(), |said| said.span.clone())
}
