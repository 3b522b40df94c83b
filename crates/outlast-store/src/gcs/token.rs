//! The token that requests carry: asked for with a service account's key, kept until shortly before it ends.
//!
//! developers.google.com, "Using OAuth 2.0 for server to server applications": a claim signed with the account's private key
//! (RS256) is exchanged for a token that lives for an hour.

use crate::wire::{AGENT, Endpoint, Line, Progress, Refused, Resolve, ServiceConfigError, Timeouts, WireBody, Words};
use crate::{Answer, Applied, Fault, StoreError};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Request, Uri};
use outlast_rules::StoreName;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_core::jwt::encode_rs256_pem;
use reqsign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.full_control";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What a claim may ask for at most. No token is believed for longer, whatever its answer says.
const LIFETIME_SECONDS: u32 = 3600;
/// A call that begins with a token must be able to end with it.
const SPARE: Duration = Duration::from_secs(120);
/// Many calls may wait for one token. They share its refusal too, instead of asking one after the other.
const REFUSAL_KEPT: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The JSON file of a service account's key, as far as it is needed.
#[derive(Clone, Deserialize)]
pub(super) struct Account {
    client_email: String,
    private_key: String,
    token_uri: String,
    pub project_id: Option<String>,
}

impl Account {
    pub fn parse(text: &str) -> Result<Account, ServiceConfigError> {
        let wrong = |why: String| ServiceConfigError::Unreadable("credentials", why);
        let account: Account = serde_json::from_str(text).map_err(|error| {
            // Its own words may quote the key.
            let (line, column) = (error.line(), error.column());
            wrong(format!(
                "not the key of a service account (client_email, private_key, token_uri): line {line}, column {column}"
            ))
        })?;
        // Tried now: a key that cannot sign would be found out with the first write.
        claim(&account, 0).map_err(wrong)?;
        Ok(account)
    }
}

#[derive(Serialize)]
struct JwtHead {
    alg: &'static str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

/// `now` in seconds since 1970.
fn claim(account: &Account, now: i64) -> Result<String, String> {
    let claims = Claims {
        iss: &account.client_email,
        scope: SCOPE,
        aud: &account.token_uri,
        iat: now,
        exp: now + i64::from(LIFETIME_SECONDS),
    };
    encode_rs256_pem(&JwtHead { alg: "RS256", typ: "JWT" }, &claims, account.private_key.as_bytes())
        .map_err(|error| format!("its private_key cannot sign: {error}"))
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct NotGiven {
    error: String,
    #[serde(default)]
    error_description: String,
}

enum Held {
    Nothing,
    Token { bearer: HeaderValue, until: Instant },
    Refusal { error: Box<StoreError>, until: Instant },
}

/// One account's token.
pub(super) struct Tokens {
    account: Account,
    line: Line,
    held: Mutex<Held>,
}

impl Tokens {
    pub fn new(
        store: StoreName,
        account: Account,
        ca_file: Option<&Path>,
        timeouts: Timeouts,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Tokens, ServiceConfigError> {
        let line = Line::new(store, Endpoint::parse(&account.token_uri)?, ca_file, timeouts, resolver)?;
        Ok(Tokens { account, line, held: Mutex::new(Held::Nothing) })
    }

    /// `Bearer …`. Whatever goes wrong here, the call itself was not sent.
    pub async fn bearer(&self, what: &str) -> Answer<HeaderValue> {
        let mut held = self.held.lock().await;
        match &*held {
            Held::Token { bearer, until } if *until > Instant::now() => return Ok(bearer.clone()),
            Held::Refusal { error, until } if *until > Instant::now() => {
                return Err(StoreError { what: what.to_owned(), ..(**error).clone() });
            }
            _ => {}
        }
        let begun = Instant::now();
        match self.exchange(what).await {
            Ok((bearer, lives)) => {
                *held = Held::Token { bearer: bearer.clone(), until: begun + lives.saturating_sub(SPARE) };
                Ok(bearer)
            }
            Err(error) => {
                let error = StoreError { applied: Applied::NotSent, ..error };
                *held = Held::Refusal { error: Box::new(error.clone()), until: Instant::now() + REFUSAL_KEPT };
                Err(error)
            }
        }
    }

    async fn exchange(&self, what: &str) -> Answer<(HeaderValue, Duration)> {
        let trace = self.line.trace(what);
        let endpoint = self.line.endpoint();
        let claim = claim(&self.account, Timestamp::now().as_second())
            .map_err(|why| trace.error(Fault::Denied, Applied::NotSent, why))?;
        let grant = utf8_percent_encode(GRANT, NON_ALPHANUMERIC);
        let text = format!("grant_type={grant}&assertion={}", utf8_percent_encode(&claim, NON_ALPHANUMERIC));
        let progress = Progress::new();
        let body = progress.clone();
        let request = async {
            let path = if endpoint.prefix.is_empty() { "/" } else { &endpoint.prefix };
            let uri: Uri = path.parse().map_err(|_| format!("token_uri: {path}"))?;
            Request::post(uri)
                .header(HOST, endpoint.authority.as_str())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(CONTENT_LENGTH, text.len())
                .header(ACCEPT_ENCODING, "identity")
                .header(USER_AGENT, AGENT)
                .body(WireBody::whole(Bytes::from(text), body))
                .map_err(|error| error.to_string())
        };
        let answered = self.line.send(trace, &endpoint.host, progress, request, words_of).await?;
        let (_, _, trace, text) = answered.read(ANSWER_BYTES_MAX).await?;
        let given: Given = serde_json::from_str(&text).map_err(|_| trace.bad_answer("an answer without a token"))?;
        let bearer = HeaderValue::try_from(format!("Bearer {}", given.access_token));
        let mut bearer = bearer.map_err(|_| trace.bad_answer("a token that no header can carry"))?;
        bearer.set_sensitive(true);
        Ok((bearer, Duration::from_secs(given.expires_in.min(u64::from(LIFETIME_SECONDS)))))
    }
}

fn words_of(refused: &Refused<'_>) -> Words {
    let said: Option<NotGiven> = serde_json::from_str(refused.text).ok();
    let fault = match refused.status.as_u16() {
        429 => Fault::Throttled,
        400..=499 => Fault::Denied,
        500.. => Fault::Server,
        _ => Fault::BadAnswer,
    };
    let message =
        said.as_ref().map(|said| format!("no token for this account: {} {}", said.error, said.error_description));
    Words {
        fault,
        applied: Applied::NotSent,
        code: said.map(|said| said.error),
        message,
        request_id: None,
        cause: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_told() {
        for text in
            [r#""very-secret""#, r#"{"client_email": "a", "private_key": {"very-secret": 1}, "token_uri": "b"}"#]
        {
            let error = Account::parse(text).err().expect("no account").to_string();
            assert!(error.contains("line 1") && !error.contains("very-secret"), "{error}");
        }
    }
}
