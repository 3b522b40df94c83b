//! The admin address.

use crate::house::House;
use crate::wire::{Reply, ask};
use outlast_rules::StoreName;
use outlast_store::{Apply, Setting, Switch, Trouble};
use std::sync::Arc;

async fn get(house: &House, path: &str) -> Reply {
    ask("GET", path).send_unsigned(house.admin).await
}

#[tokio::test]
async fn alive_ready_counted_and_described() {
    let house = House::new().await;
    assert_eq!(get(&house, "/healthz").await.text(), "alive\n");
    let ready = get(&house, "/readyz").await;
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
    house.put("x", b"hello").await;
    house.get("x").await;
    house.get("never").await;
    let text = get(&house, "/metrics").await.text();
    for line in [
        r#"outlast_s3_requests_total{operation="PutObject",status="200"} 1"#,
        r#"outlast_s3_requests_total{operation="GetObject",status="200"} 1"#,
        r#"outlast_s3_requests_total{operation="GetObject",status="404"} 1"#,
        r#"outlast_store_owed_objects{store="s1"} 0"#,
        "outlast_s3_requests_running 0",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let status: serde_json::Value = serde_json::from_slice(&get(&house, "/status.json").await.body).unwrap();
    assert_eq!(status["stores"][0]["name"], "s0");
    assert_eq!(get(&house, "/else").await.status, 404);
}

#[tokio::test]
async fn what_is_not_there_is_not_verified() {
    let house = House::new().await;
    let verify = |bucket: &str| {
        let order = format!("{{\"bucket\":\"{bucket}\"}}");
        ask("POST", "/admin/verify").header("content-type", "application/json").body(order).send_unsigned(house.admin)
    };
    let there = verify("photos").await;
    assert_eq!(there.status, 200);
    assert!(there.text().contains("\"report\""), "{}", there.text());
    let nowhere = verify("nosuch").await;
    assert_eq!((nowhere.status, nowhere.text().as_str()), (404, "there is no bucket nosuch\n"));
    assert_eq!(verify("NOSUCH").await.status, 400);
}

#[tokio::test]
async fn an_order_for_what_is_not_there_is_not_begun() {
    let house = House::new().await;
    let give = |path: &str, order: serde_json::Value| {
        let request = ask("POST", path).header("content-type", "application/json").body(order.to_string());
        request.send_unsigned(house.admin)
    };
    let (bucket, store) = ("there is no bucket nosuch\n", "there is no store nowhere in the configuration\n");
    for (path, order, said) in [
        ("/admin/undelete", serde_json::json!({"bucket": "nosuch"}), bucket),
        ("/admin/trash", serde_json::json!({"bucket": "nosuch"}), bucket),
        ("/admin/release", serde_json::json!({"bucket": "nosuch"}), bucket),
        ("/admin/scrub", serde_json::json!({"bucket": "nosuch", "store": "s0"}), bucket),
        ("/admin/scrub", serde_json::json!({"bucket": "photos", "store": "nowhere"}), store),
        ("/admin/adopt", serde_json::json!({"bucket": "nosuch", "from": "nowhere"}), store),
        ("/admin/accept", serde_json::json!({"store": "nowhere"}), store),
    ] {
        let answer = give(path, order).await;
        assert_eq!((answer.status, answer.text().as_str()), (404, said), "{path}");
    }
    let adopt = give("/admin/adopt", serde_json::json!({"bucket": "nosuch", "from": "s0", "dry_run": true})).await;
    assert_eq!(adopt.text(), "{\"wrong\":\"s0 has no native bucket nosuch\"}\n");
}

#[tokio::test]
async fn a_stopping_engine_is_not_ready() {
    let house = House::new().await;
    house.engine.stop().await;
    let ready = get(&house, "/readyz").await;
    assert_eq!((ready.status, ready.text().as_str()), (503, "stopping\n"));
    assert_eq!(get(&house, "/healthz").await.status, 200, "the process is alive all the same");
    let put = house.send(ask("PUT", "/photos/x").body("x")).await;
    assert_eq!(put.said(), "503 ServiceUnavailable");
}

#[tokio::test]
async fn faults_are_judged_set_renewed_listed_and_ended_by_order() {
    let house = House::new().await;
    let give = async |order: serde_json::Value| -> serde_json::Value {
        let request = ask("POST", "/admin/fault").header("content-type", "application/json").body(order.to_string());
        let answer = request.send_unsigned(house.admin).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    };
    let set = |trouble: Trouble, accept_risk: bool| {
        let setting = Setting::all(trouble);
        serde_json::json!({"step": "set", "store": "s0", "setting": setting, "lease_ms": 5000, "accept_risk": accept_risk})
    };
    let hang = Trouble::Hang(Apply::Never);
    assert_eq!(give(set(hang.clone(), true)).await["wrong"], "stores of this gateway have no fault switch");
    let name = StoreName::parse("s0").unwrap();
    house.engine.allow_drills([(name, Arc::new(Switch::default()))].into());
    let risk = "every bucket without a table of its own: 1 of 2 stores would take writes, and a write needs 2; the spool \
                may stand in for one";
    assert_eq!(give(serde_json::json!({"step": "judge", "stores": ["s0"]})).await["report"]["risk"][0], risk);
    assert_eq!(give(set(hang.clone(), false)).await["wrong"], risk);
    let for_tests = "\"wrong bytes\" is for tests: a drill may refuse, hang or slow";
    assert_eq!(give(set(Trouble::WrongBytes, true)).await["wrong"], for_tests);
    let told = give(set(hang, true)).await;
    let id = told["report"]["faults"][0]["id"].as_str().unwrap().to_owned();
    let renewed = give(serde_json::json!({"step": "renew", "ids": [id, "none"], "lease_ms": 600_000})).await;
    assert!(renewed["report"]["faults"][0]["left_ms"].as_u64().unwrap() > 500_000, "{renewed}");
    let list = give(serde_json::json!({"step": "list"})).await;
    assert_eq!(
        (&list["report"]["faults"][0]["id"], &list["report"]["faults"][0]["what"]),
        (&id.into(), &"hang".into())
    );
    let text = get(&house, "/metrics").await.text();
    assert!(text.contains("outlast_store_drill_faults{store=\"s0\"} 1"), "{text}");
    assert_eq!(give(serde_json::json!({"step": "end"})).await["report"]["faults"].as_array().unwrap().len(), 1);
    let text = get(&house, "/metrics").await.text();
    assert!(text.contains("outlast_store_drill_faults{store=\"s0\"} 0"), "{text}");
}
