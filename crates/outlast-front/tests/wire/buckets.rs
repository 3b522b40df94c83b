//! Buckets and what is asked about them.

use crate::house::House;
use crate::wire::ask;

#[tokio::test]
async fn a_bucket_lives_and_goes() {
    let house = House::new().await;
    let bucket = |method| house.send(ask(method, "/films"));
    assert_eq!(bucket("HEAD").await.status, 404);
    assert_eq!(bucket("PUT").await.status, 200);
    assert_eq!(bucket("PUT").await.said(), "409 BucketAlreadyOwnedByYou");
    let head = bucket("HEAD").await;
    assert_eq!((head.status, head.header("x-amz-bucket-region").as_str()), (200, "us-east-1"));
    let all = house.send(ask("GET", "/")).await;
    assert_eq!(all.all("Name"), ["films", "photos"]);
    let paged = house.send(ask("GET", "/?max-buckets=1")).await;
    assert_eq!(paged.all("Name"), ["films"]);
    let next = paged.element("ContinuationToken");
    let rest = house.send(ask("GET", &format!("/?max-buckets=1&continuation-token={next}"))).await;
    assert_eq!((rest.all("Name"), rest.element("ContinuationToken")), (vec!["photos".into()], String::new()));
    house.send(ask("PUT", "/films/x").body("x")).await;
    assert_eq!(bucket("DELETE").await.said(), "409 BucketNotEmpty");
    house.send(ask("DELETE", "/films/x")).await;
    assert_eq!(bucket("DELETE").await.status, 204);
    assert_eq!(bucket("HEAD").await.status, 404);
    assert_eq!(house.send(ask("GET", "/films/x")).await.said(), "404 NoSuchBucket");
}

#[tokio::test]
async fn names_and_wishes() {
    let house = House::new().await;
    assert_eq!(house.send(ask("PUT", "/UPPER")).await.said(), "400 InvalidBucketName");
    assert_eq!(house.send(ask("PUT", "/a..b")).await.said(), "400 InvalidBucketName");
    let open = ask("PUT", "/films").header("x-amz-acl", "public-read");
    assert_eq!(house.send(open).await.said(), "400 AccessControlListNotSupported");
    let locked = ask("PUT", "/films").header("x-amz-bucket-object-lock-enabled", "true");
    assert_eq!(house.send(locked).await.said(), "501 NotImplemented");
    let elsewhere =
        "<CreateBucketConfiguration><LocationConstraint>eu-west-3</LocationConstraint></CreateBucketConfiguration>";
    assert_eq!(house.send(ask("PUT", "/films").body(elsewhere)).await.status, 200, "any region is ours");
}

#[tokio::test]
async fn what_tools_ask_about_a_bucket() {
    let house = House::new().await;
    house.put("x", b"x").await;
    let get = |query: &'static str| house.send(ask("GET", &format!("/photos?{query}")));
    let location = get("location").await;
    assert_eq!((location.status, location.text().contains("LocationConstraint")), (200, true));
    let versioning = get("versioning").await;
    assert_eq!((versioning.status, versioning.element("Status")), (200, String::new()));
    for path in ["/photos?acl", "/photos/x?acl"] {
        let acl = house.send(ask("GET", path)).await;
        assert_eq!((acl.status, acl.element("Permission").as_str()), (200, "FULL_CONTROL"), "{}", acl.text());
    }
    for (query, said) in [
        ("policy", "404 NoSuchBucketPolicy"),
        ("cors", "404 NoSuchCORSConfiguration"),
        ("lifecycle", "404 NoSuchLifecycleConfiguration"),
        ("tagging", "404 NoSuchTagSet"),
        ("website", "404 NoSuchWebsiteConfiguration"),
        ("encryption", "404 ServerSideEncryptionConfigurationNotFoundError"),
        ("object-lock", "404 ObjectLockConfigurationNotFoundError"),
        ("publicAccessBlock", "404 NoSuchPublicAccessBlockConfiguration"),
    ] {
        assert_eq!(get(query).await.said(), said);
    }
    assert_eq!(house.send(ask("GET", "/photos/x?tagging")).await.status, 200);
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(house.send(ask("PUT", "/photos?versioning").body(on)).await.said(), "501 NotImplemented");
}

#[tokio::test]
async fn a_bucket_in_the_host_name() {
    let house = House::with(|settings| settings.domains = vec!["s3.example.com".into()]).await;
    house.put("x", b"body").await;
    let virtual_host = ask("GET", "/x").host("photos.s3.example.com");
    assert_eq!(house.send(virtual_host).await.text(), "body");
    let path_style = ask("GET", "/photos/x").host("s3.example.com");
    assert_eq!(house.send(path_style).await.text(), "body");
    let unknown = ask("GET", "/photos/x").host("anything.example.org");
    assert_eq!(house.send(unknown).await.text(), "body", "an unknown name is path style, not a bucket");
}
