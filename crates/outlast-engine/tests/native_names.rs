//! Which native bucket is whose: two buckets never share one, and one that nobody here knows is never taken for absent.

mod support;

use futures_util::future::join_all;
use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Mode};
use outlast_rules::BucketName;
use outlast_store::{Apply, At, Body, Class, Dress, Fault, Faulty, MemoryStore, MemoryTraits, PutSpec, Setting, Store};
use outlast_store::{Switch, Trouble};
use std::sync::Arc;
use std::time::Duration;
use support::{START, World, bytes, name};
use tokio::sync::mpsc;

fn client(text: &str) -> BucketName {
    BucketName::parse(text).unwrap()
}

fn named(prefix: &str, buckets: &[(&str, &str)]) -> NativeNames {
    let buckets = buckets.iter().map(|(of, native)| (client(of), (*native).to_owned())).collect();
    NativeNames { prefix: prefix.to_owned(), buckets, system_bucket: None }
}

/// A gateway over these stores, called so, with the ledger of `world`, which has ended.
async fn over(world: &World, stores: Vec<(usize, Arc<MemoryStore>, NativeNames)>) -> Result<Arc<Engine>, StartError> {
    let mut settings = world.settings.clone();
    settings.defaults.stores = stores.iter().map(|(i, ..)| name(*i)).collect();
    let setup = |store, names| StoreSetup { store, names, settle_ms: 900_000, read_cost: 0.0 };
    let setups = stores.into_iter().map(|(i, store, names)| (name(i), setup(store as Arc<dyn Store>, names))).collect();
    let ledger = Embedded::open_with(world.dir.path(), Mode::Inline, Durability::Process).unwrap();
    Engine::open(settings, Arc::new(TokioClock::new(START)), Arc::new(ledger), setups).await
}

/// Stores of a world whose own gateway is gone, its bucket `photos` still in its ledger.
async fn ground(count: usize) -> World {
    let world = World::new(&vec![MemoryTraits::B; count]).await;
    world.engine.stop().await;
    world
}

/// The same stores, and a new ledger.
fn forgotten(world: World) -> World {
    World { dir: tempfile::tempdir().unwrap(), ..world }
}

fn why(refused: Result<(), BucketError>) -> String {
    match refused {
        Err(BucketError::Reserved(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_given_by_hand_is_not_given_by_the_prefix_too() {
    let world = ground(2).await;
    world.stores[0].create_bucket("acme-photos").await.unwrap();
    let stores = |world: &World| {
        vec![
            (0, world.stores[0].clone(), named("acme-", &[("pics", "acme-photos")])),
            (1, world.stores[1].clone(), named("", &[])),
        ]
    };
    let refused = over(&world, stores(&world)).await.err().map(|error| error.to_string());
    assert!(refused.unwrap().contains("the bucket photos cannot be served"), "it was made under another name");

    let world = forgotten(world);
    let engine = over(&world, stores(&world)).await.unwrap();
    engine.create_bucket(client("pics")).await.unwrap();
    let told = why(engine.create_bucket(client("photos")).await);
    assert!(told.contains("acme-photos") && told.contains("is the bucket pics on s0"), "{told}");
    let adopted = engine.adopt(&client("photos"), "s0", true, mpsc::channel(1).0).await;
    assert!(matches!(adopted, Err(AdoptError::Claimed(..))), "{adopted:?}");
    let head = engine.head_bucket(client("photos")).await;
    assert!(matches!(head, Err(BucketError::NoBucket)), "{head:?}");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_stores_on_one_service_keep_their_buckets_apart() {
    let world = forgotten(ground(2).await);
    let shared = &world.stores[0];
    let engine = over(
        &world,
        vec![
            (0, shared.clone(), named("p1-", &[])),
            (1, shared.clone(), named("p1-x-", &[])),
            (2, world.stores[1].clone(), named("", &[])),
        ],
    )
    .await
    .unwrap();
    engine.create_bucket(client("x-vid")).await.unwrap();
    let told = why(engine.create_bucket(client("vid")).await);
    assert!(told.contains("p1-x-vid") && told.contains("is the bucket x-vid on s0"), "{told}");
    engine.create_bucket(client("other")).await.unwrap();
    let told = why(engine.create_bucket(client("x-outlast-home")).await);
    assert!(told.contains("Outlast's own records on s1"), "{told}");
    engine.stop().await;
}

/// Three stores, of which the first has a bucket with an object that nobody here knows.
async fn with_a_stranger() -> (World, Arc<Switch>) {
    let switch = Arc::new(Switch::default());
    let wrap = |store: Arc<dyn Store>| -> Arc<dyn Store> {
        if store.name() == &name(0) { Arc::new(Faulty::new(store, switch.clone())) } else { store }
    };
    let world = World::with(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    world.stores[0].create_bucket("old-photos").await.unwrap();
    let spec = PutSpec { dress: Dress::default(), fence: None, md5: None };
    world.stores[0].put(&At::new("old-photos", "a"), &spec, Body::Whole(bytes(10, 1).into())).await.unwrap();
    (world, switch)
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_a_name_is_looked_for_waits_for_the_answer() {
    let (world, switch) = with_a_stranger().await;
    switch.set(Setting::on(&[Class::List], Trouble::delay(Duration::from_millis(300))));
    let heads = join_all((0..12).map(|_| world.engine.head_bucket(client("old-photos")))).await;
    assert!(heads.iter().all(|head| matches!(head, Err(BucketError::NotServed(_)))), "{heads:?}");
    // Whoever looks may go away.
    let other = client("nothing-here");
    let first = tokio::time::timeout(Duration::from_millis(100), world.engine.head_bucket(other.clone())).await;
    assert!(first.is_err());
    let head = world.engine.head_bucket(other).await;
    assert!(matches!(head, Err(BucketError::NoBucket)), "{head:?}");
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_may_have_it() {
    let (world, switch) = with_a_stranger().await;
    switch.set(Setting::all(Trouble::Hang(Apply::Never)));
    for _ in 0..2 {
        let head = world.engine.head_bucket(client("old-photos")).await;
        let Err(BucketError::NotServed(why)) = head else { panic!("{head:?}") };
        assert!(why.contains("not every store could be asked") && why.contains("s0"), "{why}");
    }
    // Well again, it is asked what else it has; away again, that is remembered.
    switch.clear();
    world.engine.start_workers();
    tokio::time::sleep(Duration::from_secs(120)).await;
    switch.set(Setting::all(Trouble::Refuse));
    let head = world.engine.head_bucket(client("old-photos")).await;
    assert!(matches!(head, Err(BucketError::NotServed(_))), "{head:?}");
    let head = world.engine.head_bucket(client("new-photos")).await;
    assert!(
        matches!(head, Err(BucketError::NoBucket)),
        "a store that is away keeps nobody from making a bucket: {head:?}"
    );
    world.engine.create_bucket(client("new-photos")).await.unwrap();
    world.engine.stop().await;
}

/// Keys that are bound to some buckets may neither list all buckets nor see one that is not theirs.
#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_tell_what_else_it_has_is_well() {
    let (world, switch) = with_a_stranger().await;
    let denied = Trouble::Answer { fault: Fault::Denied, status: 403, code: "AccessDenied".into() };
    switch.set(Setting::on(&[Class::Bucket], denied.clone()));
    world.engine.start_workers();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let told: Vec<(String, String)> =
        world.engine.status().await.stores.into_iter().map(|store| (store.standing, store.reason)).collect();
    assert!(told.iter().all(|(standing, _)| standing == "up"), "{told:?}");
    switch.set(Setting::on(&[Class::List], denied).times(1));
    let head = world.engine.head_bucket(client("somebody-elses")).await;
    assert!(matches!(head, Err(BucketError::NoBucket)), "it could not be adopted with these keys: {head:?}");
    switch.set(Setting::all(Trouble::Refuse));
    let head = world.engine.head_bucket(client("new-photos")).await;
    assert!(matches!(head, Err(BucketError::NotServed(_))), "it has never told what it has: {head:?}");
    world.engine.stop().await;
}
