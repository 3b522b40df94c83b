//! A Google Cloud Storage of one process, written after cloud.google.com's reference of the JSON interface ("Objects", "Buckets",
//! "Request preconditions", "Composite objects") and developers.google.com's of service accounts. No emulator judges the
//! conditions that we rest on; this one does. It shows that the client does what the documents say, not that the service does.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What a composite may be made of.
const COMPOSED_MAX: usize = 32;
/// The token that the account of the tests is given.
pub const TOKEN: &str = "ya29.token-of-the-tests";

#[derive(Clone)]
struct Object {
    generation: u64,
    about: Value,
    bytes: Bytes,
}

#[derive(Default)]
struct World {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
    generations: u64,
    tokens_given: usize,
    /// How long a token lives, by its answer; seconds.
    tokens_live: u64,
    /// Requests must carry the token.
    guarded: bool,
}

/// A running imitation; it ends with the test's runtime.
pub struct Google {
    pub endpoint: String,
    world: Arc<Mutex<World>>,
}

impl Google {
    pub async fn start(guarded: bool) -> Google {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("a bound address"));
        // Generations are microseconds since 1970.
        let generations = 1_700_000_000_000_000;
        let world = World { generations, guarded, tokens_live: 3599, ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let shared = world.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let world = shared.clone();
                let service = service_fn(move |request| serve(world.clone(), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Google { endpoint, world }
    }

    pub fn tokens_given(&self) -> usize {
        self.world.lock().expect("nobody panics with it").tokens_given
    }

    pub fn tokens_live(&self, seconds: u64) {
        self.world.lock().expect("nobody panics with it").tokens_live = seconds;
    }

    /// As if it had never been put.
    pub fn forget(&self, bucket: &str, name: &str) {
        let mut world = self.world.lock().expect("nobody panics with it");
        world.buckets.get_mut(bucket).and_then(|objects| objects.remove(name)).expect("it is there");
    }

    /// Every object of a bucket, ours included.
    pub fn names(&self, bucket: &str) -> Vec<String> {
        self.world.lock().expect("nobody panics with it").buckets[bucket].keys().cloned().collect()
    }
}

type Said = Response<Full<Bytes>>;

struct Asked {
    method: Method,
    path: Vec<String>,
    query: HashMap<String, String>,
    range: Option<String>,
    content_type: String,
    bearer: Option<String>,
    body: Bytes,
}

async fn serve(world: Arc<Mutex<World>>, request: Request<Incoming>) -> Result<Said, hyper::Error> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let text =
        |name: &str| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let query = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut asked = Asked {
        method: request.method().clone(),
        path: request.uri().path().split('/').skip(1).map(decode).collect(),
        query: query.map(|(name, value)| (name.to_owned(), decode(value))).collect(),
        range: text("range"),
        content_type: text("content-type").unwrap_or_default(),
        bearer: text("authorization"),
        body: Bytes::new(),
    };
    asked.body = request.into_body().collect().await?.to_bytes();
    Ok(world.lock().expect("nobody panics with it").answer(&asked).unwrap_or_else(|refusal| refusal))
}

fn said(status: u16, value: &Value) -> Said {
    let text = if value.is_null() { String::new() } else { value.to_string() };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn refusal(status: u16, reason: &str, message: &str) -> Said {
    let one = json!({"domain": "global", "reason": reason, "message": message});
    said(status, &json!({"error": {"code": status, "message": message, "errors": [one]}}))
}

fn no_bucket() -> Said {
    refusal(404, "notFound", "The specified bucket does not exist.")
}

fn no_object(bucket: &str, name: &str) -> Said {
    refusal(404, "notFound", &format!("No such object: {bucket}/{name}"))
}

fn not_met() -> Said {
    refusal(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
}

impl Object {
    fn shown(&self, bucket: &str, name: &str) -> Value {
        let mut shown = self.about.clone();
        shown["kind"] = "storage#object".into();
        shown["bucket"] = bucket.into();
        shown["name"] = name.into();
        shown["generation"] = self.generation.to_string().into();
        shown["metageneration"] = "1".into();
        shown["size"] = self.bytes.len().to_string().into();
        shown["updated"] = "2026-11-21T00:00:00.000Z".into();
        shown
    }
}

impl World {
    fn answer(&mut self, asked: &Asked) -> Result<Said, Said> {
        let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
        if let ["token"] = path[..] {
            return Ok(self.token(asked));
        }
        if self.guarded && asked.bearer.as_deref() != Some(format!("Bearer {TOKEN}").as_str()) {
            return Err(refusal(401, "authError", "Invalid Credentials"));
        }
        match (asked.method.as_str(), &path[..]) {
            ("POST", ["storage", "v1", "b"]) => self.make_bucket(asked),
            ("GET", ["storage", "v1", "b"]) => Ok(self.buckets()),
            ("GET", ["storage", "v1", "b", bucket]) => {
                self.bucket(bucket)?;
                Ok(said(200, &json!({"kind": "storage#bucket", "name": bucket})))
            }
            ("DELETE", ["storage", "v1", "b", bucket]) => self.remove_bucket(bucket),
            ("GET", ["storage", "v1", "b", bucket, "o"]) => self.list(bucket, asked),
            ("POST", ["upload", "storage", "v1", "b", bucket, "o"]) => self.insert(bucket, asked),
            ("GET", ["storage", "v1", "b", bucket, "o", name]) => self.get(bucket, name, asked),
            ("DELETE", ["storage", "v1", "b", bucket, "o", name]) => self.remove(bucket, name, asked),
            ("POST", ["storage", "v1", "b", bucket, "o", name, "compose"]) => self.compose(bucket, name, asked),
            ("POST", ["storage", "v1", "b", from, "o", source, "rewriteTo", "b", bucket, "o", name]) => {
                self.rewrite((from, source), (bucket, name), asked)
            }
            _ => Err(refusal(400, "invalid", "no such method")),
        }
    }

    fn bucket(&self, bucket: &str) -> Result<&BTreeMap<String, Object>, Said> {
        self.buckets.get(bucket).ok_or_else(no_bucket)
    }

    fn object(&self, bucket: &str, name: &str) -> Result<&Object, Said> {
        self.bucket(bucket)?.get(name).ok_or_else(|| no_object(bucket, name))
    }

    /// 0 is absence.
    fn judge(&self, bucket: &str, name: &str, condition: Option<&String>) -> Result<(), Said> {
        let there = self.bucket(bucket)?.get(name).map_or(0, |object| object.generation);
        match condition.map(|text| text.parse::<u64>()) {
            None => Ok(()),
            Some(Ok(wanted)) if wanted == there => Ok(()),
            Some(Ok(_)) => Err(not_met()),
            Some(Err(_)) => Err(refusal(400, "invalid", "Invalid value for ifGenerationMatch")),
        }
    }

    fn keep(&mut self, bucket: &str, name: &str, about: Value, bytes: Bytes) -> Result<Value, Said> {
        if name.is_empty() || name.len() > 1024 || name.contains(['\r', '\n']) || matches!(name, "." | "..") {
            return Err(refusal(400, "invalid", "Invalid object name"));
        }
        self.generations += 1;
        let object = Object { generation: self.generations, about, bytes };
        let shown = object.shown(bucket, name);
        self.buckets.get_mut(bucket).ok_or_else(no_bucket)?.insert(name.to_owned(), object);
        Ok(shown)
    }

    fn make_bucket(&mut self, asked: &Asked) -> Result<Said, Said> {
        let told: Value = serde_json::from_slice(&asked.body).expect("JSON");
        let name = told["name"].as_str().expect("a name").to_owned();
        assert!(asked.query.contains_key("project"), "a bucket belongs to a project");
        if self.buckets.contains_key(&name) {
            return Err(refusal(409, "conflict", "You already own this bucket. Please select another name."));
        }
        self.buckets.insert(name.clone(), BTreeMap::new());
        Ok(said(200, &json!({"kind": "storage#bucket", "name": name})))
    }

    fn buckets(&self) -> Said {
        let items: Vec<Value> = self.buckets.keys().map(|name| json!({"name": name})).collect();
        said(200, &json!({"kind": "storage#buckets", "items": items}))
    }

    fn remove_bucket(&mut self, bucket: &str) -> Result<Said, Said> {
        if !self.bucket(bucket)?.is_empty() {
            return Err(refusal(409, "conflict", "The bucket you tried to delete is not empty."));
        }
        self.buckets.remove(bucket);
        Ok(said(204, &Value::Null))
    }

    fn list(&self, bucket: &str, asked: &Asked) -> Result<Said, Said> {
        let text = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
        let (prefix, begin, token) = (text("prefix"), text("startOffset"), text("pageToken"));
        let max: usize = text("maxResults").parse().expect("a number");
        let seen = |name: &String| name.starts_with(&prefix) && *name >= begin && *name > token;
        let mut found: Vec<_> = self.bucket(bucket)?.iter().filter(|(name, _)| seen(name)).collect();
        let more = found.len() > max;
        found.truncate(max);
        let mut page = json!({"kind": "storage#objects"});
        // As everywhere in this interface: what is empty is left out.
        if !found.is_empty() {
            page["items"] = found.iter().map(|(name, object)| object.shown(bucket, name)).collect();
        }
        if more {
            page["nextPageToken"] = found.last().map(|(name, _)| name.as_str()).into();
        }
        Ok(said(200, &page))
    }

    fn insert(&mut self, bucket: &str, asked: &Asked) -> Result<Said, Said> {
        let boundary = asked.content_type.split_once("boundary=").expect("multipart/related").1;
        let (about, bytes) = two_parts(&asked.body, boundary);
        let mut about: Value = serde_json::from_slice(&about).expect("the first part is JSON");
        let name = about["name"].as_str().expect("a name").to_owned();
        self.judge(bucket, &name, asked.query.get("ifGenerationMatch"))?;
        let md5 = STANDARD.encode(Md5::digest(&bytes));
        if about["md5Hash"].as_str().is_some_and(|said| said != md5) {
            return Err(refusal(400, "invalid", "Provided MD5 hash doesn't match calculated MD5 hash."));
        }
        about["md5Hash"] = md5.into();
        Ok(said(200, &self.keep(bucket, &name, about, bytes)?))
    }

    fn get(&self, bucket: &str, name: &str, asked: &Asked) -> Result<Said, Said> {
        let media = asked.query.get("alt").is_some_and(|alt| alt == "media");
        let plain = |status: u16, text: String| {
            let mut response = Response::new(Full::new(Bytes::from(text)));
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            response
        };
        let object = match self.object(bucket, name) {
            Err(_) if media => return Err(plain(404, format!("No such object: {bucket}/{name}"))),
            other => other?,
        };
        self.judge(bucket, name, asked.query.get("ifGenerationMatch"))?;
        if !media {
            return Ok(said(200, &object.shown(bucket, name)));
        }
        let size = object.bytes.len();
        let part = asked.range.as_deref().map(|range| {
            let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).expect("a range");
            (first.parse::<usize>().expect("a number"), last.parse::<usize>().expect("a number").min(size.max(1) - 1))
        });
        if part.is_some_and(|(first, _)| first >= size) {
            return Err(plain(416, String::new()));
        }
        let (status, bytes) = match part {
            None => (200, object.bytes.clone()),
            Some((first, last)) => (206, object.bytes.slice(first..=last)),
        };
        let mut response = Response::new(Full::new(bytes));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        let headers = response.headers_mut();
        headers.insert("x-goog-generation", object.generation.into());
        if let Some((first, last)) = part {
            headers.insert("content-range", format!("bytes {first}-{last}/{size}").parse().expect("a header"));
        }
        Ok(response)
    }

    fn remove(&mut self, bucket: &str, name: &str, asked: &Asked) -> Result<Said, Said> {
        self.object(bucket, name)?;
        self.judge(bucket, name, asked.query.get("ifGenerationMatch"))?;
        self.buckets.get_mut(bucket).expect("just seen").remove(name);
        Ok(said(204, &Value::Null))
    }

    fn compose(&mut self, bucket: &str, name: &str, asked: &Asked) -> Result<Said, Said> {
        let told: Value = serde_json::from_slice(&asked.body).expect("JSON");
        let sources = told["sourceObjects"].as_array().expect("sources");
        if sources.is_empty() || sources.len() > COMPOSED_MAX {
            return Err(refusal(400, "invalid", "The number of source components is not between 1 and 32."));
        }
        let mut whole = Vec::new();
        for source in sources {
            whole.extend_from_slice(&self.object(bucket, source["name"].as_str().expect("a name"))?.bytes);
        }
        self.judge(bucket, name, asked.query.get("ifGenerationMatch"))?;
        Ok(said(200, &self.keep(bucket, name, told["destination"].clone(), Bytes::from(whole))?))
    }

    /// In two steps, as where bytes have to travel.
    fn rewrite(&mut self, from: (&str, &str), to: (&str, &str), asked: &Asked) -> Result<Said, Said> {
        let source = self.object(from.0, from.1)?.clone();
        self.judge(from.0, from.1, asked.query.get("ifSourceGenerationMatch"))?;
        self.judge(to.0, to.1, asked.query.get("ifGenerationMatch"))?;
        if !asked.query.contains_key("rewriteToken") {
            return Ok(said(200, &json!({"kind": "storage#rewriteResponse", "done": false, "rewriteToken": "t1"})));
        }
        let about: Value = serde_json::from_slice(&asked.body).expect("JSON");
        let resource = self.keep(to.0, to.1, about, source.bytes)?;
        Ok(said(200, &json!({"kind": "storage#rewriteResponse", "done": true, "resource": resource})))
    }

    /// A token for who has signed with the key of the tests' account.
    fn token(&mut self, asked: &Asked) -> Said {
        let text = String::from_utf8_lossy(&asked.body).into_owned();
        let field = |name: &str| {
            let value = text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
            Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
        };
        assert_eq!(field("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
        let assertion = field("assertion").expect("a claim");
        let (signed, signature) = assertion.rsplit_once('.').expect("a signature");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let key = include_bytes!("key.pub.der");
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, key);
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').expect("a head").1).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        let whole = claims["exp"].as_i64().zip(claims["iat"].as_i64()).is_some_and(|(exp, iat)| exp == iat + 3600);
        if key.verify(signed.as_bytes(), &signature).is_err() || !whole || claims["iss"] != super::support::EMAIL {
            return said(400, &json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}));
        }
        self.tokens_given += 1;
        said(200, &json!({"access_token": TOKEN, "expires_in": self.tokens_live, "token_type": "Bearer"}))
    }
}

/// The two bodies of a multipart/related body.
fn two_parts(body: &Bytes, boundary: &str) -> (Bytes, Bytes) {
    let find = |from: usize, what: &[u8]| {
        let at = body[from..].windows(what.len()).position(|window| window == what);
        from + at.unwrap_or_else(|| panic!("no {:?}", String::from_utf8_lossy(what)))
    };
    let delimiter = format!("\r\n--{boundary}");
    let blank = b"\r\n\r\n";
    let first = find(0, blank) + blank.len();
    let first_end = find(first, delimiter.as_bytes());
    let second = find(first_end, blank) + blank.len();
    let closing = format!("{delimiter}--\r\n");
    let second_end = body.len() - closing.len();
    assert_eq!(&body[second_end..], closing.as_bytes());
    (body.slice(first..first_end), body.slice(second..second_end))
}
