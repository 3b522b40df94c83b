//! Stores that are services: what must be known to call them, and their addresses in one spelling.

use super::mistake::{At, Mistakes};
use super::raw::{RawAzure, RawGcs, RawS3Store, RawStore};
use super::typed::*;
use super::world::World;

pub fn judge_s3_store(
    store: &RawStore,
    s3: &RawS3Store,
    says: &str,
    world: &World<'_>,
    told: &mut Mistakes,
) -> Option<S3Config> {
    let needed = [
        ("endpoint", s3.endpoint.is_some(), "endpoint = \"https://s3.example-region.example.com\""),
        ("region", s3.region.is_some(), "region = \"us-east-1\", or what the vendor calls it; many take \"auto\""),
        ("access_key", s3.access_key.is_some(), "access_key = { env = \"NAME\" }"),
        ("secret_key", s3.secret_key.is_some(), "secret_key = { env = \"NAME\" }"),
    ];
    for (key, there, add) in needed {
        if !there {
            told.error(&store.name.span, format!("{says} has no {key}"), format!("add: {add}"));
        }
    }
    let endpoint = s3.endpoint.as_ref().and_then(|endpoint| judge_endpoint(endpoint, says, told));
    let access_key = s3.access_key.as_ref().and_then(|k| world.resolve(&format!("{says} access_key"), k, told));
    let secret_key = s3.secret_key.as_ref().and_then(|k| world.secret(&format!("{says} secret_key"), k, told));
    let session_token = s3.session_token.as_ref().and_then(|k| world.secret(&format!("{says} session_token"), k, told));
    let ca_file = s3.ca_file.as_ref().map(|file| world.file(&format!("{says} ca_file"), file, told));
    Some(S3Config {
        endpoint: endpoint?,
        region: s3.region.as_ref().map(|region| region.value.clone())?,
        access_key: access_key?,
        secret_key: secret_key?,
        session_token,
        path_style: s3.path_style.as_ref().is_none_or(|is| is.value),
        ca_file,
        metered: s3.metered.as_ref().map(|is| is.value),
        nested: s3.nested.as_ref().is_some_and(|is| is.value),
    })
}

pub fn judge_azure(
    store: &RawStore,
    azure: &RawAzure,
    says: &str,
    world: &World<'_>,
    told: &mut Mistakes,
) -> Option<AzureConfig> {
    let needed = [
        ("account", azure.account.is_some(), "account = \"the storage account's name\""),
        ("account_key", azure.account_key.is_some(), "account_key = { env = \"NAME\" }"),
    ];
    for (key, there, add) in needed {
        if !there {
            told.error(&store.name.span, format!("{says} has no {key}"), format!("add: {add}"));
        }
    }
    let account = azure.account.as_ref().filter(|account| judge_account(account, says, told));
    let account_key = azure.account_key.as_ref().and_then(|k| world.secret(&format!("{says} account_key"), k, told));
    let ca_file = azure.ca_file.as_ref().map(|file| world.file(&format!("{says} ca_file"), file, told));
    let endpoint = match &azure.endpoint {
        Some(endpoint) => judge_endpoint(endpoint, says, told),
        None => account.map(|account| format!("https://{}.blob.core.windows.net", account.value)),
    };
    Some(AzureConfig {
        account: account?.value.clone(),
        account_key: account_key?,
        endpoint: endpoint?,
        path_style: azure.path_style.as_ref().is_some_and(|is| is.value),
        ca_file,
        metered: azure.metered.as_ref().map(|is| is.value),
    })
}

/// learn.microsoft.com, "Storage account overview": 3 to 24 lower-case letters and digits.
fn judge_account(account: &At<String>, says: &str, told: &mut Mistakes) -> bool {
    let name = &account.value;
    let good = (3..=24).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'));
    if !good {
        let what = format!("{says} account {name:?} is no name of a storage account");
        told.error(&account.span, what, "3 to 24 lower-case letters and digits; no address");
    }
    good
}

/// Where Google Cloud Storage answers.
const GCS_ENDPOINT: &str = "https://storage.googleapis.com";

pub fn judge_gcs(
    store: &RawStore,
    gcs: &RawGcs,
    says: &str,
    world: &World<'_>,
    told: &mut Mistakes,
) -> Option<GcsConfig> {
    let endpoint = match &gcs.endpoint {
        Some(endpoint) => judge_endpoint(endpoint, says, told)?,
        None => GCS_ENDPOINT.to_owned(),
    };
    // Only emulators ask nobody who he is.
    let host = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, host)| host);
    if gcs.credentials.is_none() && !is_this_machine(host) {
        let help = "add: credentials = { file = \"service-account.json\" }";
        told.error(&store.name.span, format!("{says} has no credentials"), help);
        return None;
    }
    if gcs.credentials.is_none() && gcs.project.is_none() {
        told.error(&store.name.span, format!("{says} has no project"), "add: project = \"the project's id\"");
        return None;
    }
    let credentials = match &gcs.credentials {
        Some(typed) => Some(world.secret(&format!("{says} credentials"), typed, told)?),
        None => None,
    };
    Some(GcsConfig {
        credentials,
        project: gcs.project.as_ref().map(|project| project.value.clone()),
        location: gcs.location.as_ref().map(|location| location.value.clone()),
        endpoint,
        ca_file: gcs.ca_file.as_ref().map(|file| world.file(&format!("{says} ca_file"), file, told)),
        metered: gcs.metered.as_ref().map(|is| is.value),
    })
}

/// Scheme, host and port, in one spelling: lower case, without the scheme's own port and a slash at the end.
fn judge_endpoint(typed: &At<String>, says: &str, told: &mut Mistakes) -> Option<String> {
    let text = typed.value.trim_end_matches('/').to_ascii_lowercase();
    let Some((scheme, rest)) = text.split_once("://") else {
        let what = format!("{says} endpoint {:?} has no scheme", typed.value);
        told.error(&typed.span, what, format!("write \"https://{}\"", typed.value));
        return None;
    };
    if !matches!(scheme, "http" | "https") {
        let what = format!("{says} endpoint has the scheme {scheme}");
        told.error(&typed.span, what, format!("write \"https://{rest}\""));
        return None;
    }
    if rest.is_empty() || rest.contains(['/', '?', '#', '@']) {
        let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let help = format!(
            "write only scheme, host and port: \"{scheme}://{host}\"; buckets go into bucket_prefix or buckets"
        );
        told.error(&typed.span, format!("{says} endpoint {:?} holds more than a host", typed.value), help);
        return None;
    }
    let own_port = if scheme == "https" { ":443" } else { ":80" };
    let host = rest.strip_suffix(own_port).unwrap_or(rest);
    if scheme == "http" && !is_this_machine(host) {
        let what = format!("{says} endpoint is plain http: keys are safe, bytes and names are not");
        told.warn(&typed.span, what, format!("write \"https://{host}\" where the store has it"));
    }
    Some(format!("{scheme}://{host}"))
}

/// Is the host of an endpoint this machine?
pub fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
