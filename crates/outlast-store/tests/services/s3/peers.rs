//! The client against third parties' S3: moto (conditions, versions) and Garage (whose own code checks our signatures: of
//! heads, of whole bodies, of each chunk, for any key).

use crate::s3::support;
use outlast_rules::{Grades, Powers};
use outlast_store::conformance::{self, Expect, Keys};
use outlast_store::{Resolve, S3Config, S3Store, Store, probe};
use std::net::IpAddr;
use std::sync::Arc;

/// moto honours conditions on PUT and DELETE; on Complete only If-None-Match, on a copy neither the target's nor the
/// source's. Parts and Complete of an unknown upload make it fall over (500).
fn moto_expect(pinned: bool) -> Expect {
    let honoured = Powers { pinned, fenced: true, unique: false };
    let ignored = Powers { fenced: false, ..honoured };
    let grades = Grades { complete: ignored, copy: ignored, ..Expect::grades(honoured) };
    Expect { pins_copies: false, names_missing_uploads: false, ..Expect::s3(grades) }
}

#[tokio::test]
async fn moto_without_versions() {
    let Some(peer) = support::moto() else { return };
    conformance::all(&support::store(&peer.endpoint), "plain", moto_expect(false)).await;
}

#[tokio::test]
async fn moto_with_versions() {
    let Some(peer) = support::moto() else { return };
    conformance::all(&support::store(&peer.endpoint), "versioned", moto_expect(true)).await;
}

fn garage_config(endpoint: &str) -> S3Config {
    let mut config = support::config(endpoint);
    config.region = support::GARAGE_REGION.into();
    config.access_key = support::GARAGE_KEY.into();
    config.secret_key = support::GARAGE_SECRET.into();
    config
}

/// Finds everybody here.
struct Here;

#[async_trait::async_trait]
impl Resolve for Here {
    async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

/// Garage keeps no versions and, of conditions on writes, only If-None-Match, and that not for racers.
/// An Abort beside a Complete destroys what the Complete has acknowledged (no races); leading slashes of keys are dropped.
async fn garage_conforms(store: &S3Store) {
    // As the probe does first: it gives version ids with every PUT and keeps none, and only the question shows it.
    assert!(!store.keeps_versions("suite").await.expect("an answer"));
    let probed = probe(store, "suite", "garage").await.expect("a report");
    assert_eq!(probed.drops_slashes, Some(true));
    let powers = Powers { pinned: false, fenced: false, unique: false };
    let expect = Expect { keys: Keys::NoLeadingSlash, races: 0, ..Expect::s3(Expect::grades(powers)) };
    conformance::all(store, "suite", expect).await;
}

#[tokio::test]
async fn garage_in_path_style() {
    let Some((peer, _folder)) = support::garage() else { return };
    let store = S3Store::new(garage_config(&peer.endpoint)).expect("a good configuration");
    garage_conforms(&store).await;
}

#[tokio::test]
async fn garage_in_virtual_host_style() {
    let Some((peer, _folder)) = support::garage() else { return };
    let port = peer.endpoint.rsplit(':').next().expect("a port");
    let mut config = garage_config(&format!("http://{}:{port}", support::GARAGE_DOMAIN));
    config.path_style = false;
    let store = S3Store::with_resolver(config, Arc::new(Here)).expect("a good configuration");
    garage_conforms(&store).await;
}
