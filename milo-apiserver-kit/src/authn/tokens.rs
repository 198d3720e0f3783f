//! Static bearer tokens, from a file in the format of kube-apiserver's `--token-auth-file`.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use csv::StringRecord;
use milo_core::identity::UserInfo;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{AuthenticationError, AuthenticationRequest, Authenticator, bearer_token, prepare};

/// Why a token file cannot be used. No text contains a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFileError {
    /// The file cannot be read.
    #[error("cannot read the token file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no tokens at all.
    #[error(
        "the token file {path} is empty; put lines of token,user,uid,\"group1,group2\" into it, \
         or do not configure it"
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// One line is wrong.
    #[error("line {line} of the token file {path}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Recognises callers by bearer tokens that never change.
///
/// For development, tests and bootstrapping: a token is revoked only by restarting the server
/// without it.
///
/// Tokens are not kept. The table is keyed by a hash under a key that is drawn at start, so that
/// neither a memory comparison nor the hash table's timing tells a caller how near a guess was.
pub struct StaticTokens {
    key: [u8; 32],
    users: HashMap<[u8; 32], Arc<UserInfo>>,
}

impl StaticTokens {
    /// Reads a file of lines `token,user,uid,"group1,group2"`, quoted as in RFC 4180. The groups
    /// may be left out; further columns are ignored. There are no comments.
    ///
    /// # Errors
    ///
    /// [`TokenFileError`] names the file, the line and what to change.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenFileError> {
        let path = path.as_ref();
        let content = std::fs::read(path)
            .map_err(|source| TokenFileError::Read { path: path.to_owned(), source })?;
        Self::parse(&content).map_err(|fault| fault.in_file(path))
    }

    /// One token for one user, for tests and programs that make their own.
    #[must_use]
    pub fn single(token: &str, user: UserInfo) -> Self {
        let mut tokens = Self::empty();
        tokens.insert(token, user);
        tokens
    }

    fn empty() -> Self {
        let mut key = [0; 32];
        key[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        key[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        Self { key, users: HashMap::new() }
    }

    fn parse(content: &[u8]) -> Result<Self, Fault> {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content);
        let mut tokens = Self::empty();
        let mut lines: HashMap<[u8; 32], u64> = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(|error| {
                // The reader is flexible and the input is in memory: only UTF-8 can be wrong.
                Fault::line(error.position().map_or(0, csv::Position::line), "is not UTF-8 text")
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            let user = user_of(&record).map_err(|reason| Fault::line(line, reason))?;
            if let Some(first) = lines.insert(tokens.hash(record[0].as_bytes()), line) {
                let reason = format!("has the same token as line {first}; remove one of them");
                return Err(Fault::line(line, reason));
            }
            tokens.insert(&record[0], user);
        }
        if tokens.users.is_empty() { Err(Fault::Empty) } else { Ok(tokens) }
    }

    fn insert(&mut self, token: &str, user: UserInfo) {
        self.users.insert(self.hash(token.as_bytes()), prepare(Arc::new(user)));
    }

    fn hash(&self, token: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.key).chain_update(token).finalize().into()
    }

    /// The user to whom the request's bearer token belongs. Needs no waiting and no memory.
    #[must_use]
    pub fn identify(&self, request: &AuthenticationRequest<'_>) -> Option<Arc<UserInfo>> {
        let token = bearer_token(request.headers)?;
        self.users.get(&self.hash(token)).cloned()
    }
}

#[async_trait]
impl Authenticator for StaticTokens {
    async fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Arc<UserInfo>>, AuthenticationError> {
        Ok(self.identify(request))
    }
}

impl fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticTokens({} tokens)", self.users.len())
    }
}

fn user_of(record: &StringRecord) -> Result<UserInfo, String> {
    if record.len() < 3 {
        return Err(format!(
            "has {} of the columns token,user,uid,\"groups\"; the first three are required",
            record.len()
        ));
    }
    for (index, column) in ["token", "user"].into_iter().enumerate() {
        if record[index].is_empty() {
            return Err(format!("has an empty {column}"));
        }
    }
    if record.iter().any(|field| field.contains(['\n', '\r'])) {
        return Err("opens a quote that does not end on the same line".into());
    }
    let groups = record.get(3).unwrap_or_default().split(',').map(str::trim);
    let user = UserInfo::new(&record[1]).with_uid(&record[2]);
    Ok(groups.filter(|group| !group.is_empty()).fold(user, UserInfo::with_group))
}

enum Fault {
    Empty,
    Line { line: u64, reason: String },
}

impl Fault {
    fn line(line: u64, reason: impl Into<String>) -> Self {
        Self::Line { line, reason: reason.into() }
    }

    fn in_file(self, path: &Path) -> TokenFileError {
        let path = path.to_owned();
        match self {
            Self::Empty => TokenFileError::Empty { path },
            Self::Line { line, reason } => TokenFileError::Line { path, line, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

    use super::*;

    fn ask(tokens: &StaticTokens, token: &str) -> Option<Arc<UserInfo>> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        tokens.identify(&AuthenticationRequest::new(&headers, None))
    }

    fn error(content: &[u8]) -> String {
        match StaticTokens::parse(content) {
            Ok(_) => "fine".into(),
            Err(fault) => fault.in_file(Path::new("tokens.csv")).to_string(),
        }
    }

    #[test]
    fn lines_become_users() {
        let tokens = StaticTokens::parse(
            b"t1,alice,1\r\nt2,bob,2,dev\n\n\"t3\",\"Carol \"\"C\"\", x\",3,\"ops, dev,,\",more\n",
        );
        let tokens = tokens.unwrap_or_else(|_| panic!("must parse"));
        let alice = ask(&tokens, "t1").unwrap();
        assert_eq!((alice.username.as_str(), alice.uid.as_str()), ("alice", "1"));
        assert_eq!(alice.groups, ["system:authenticated"]);
        assert_eq!(ask(&tokens, "t2").unwrap().groups, ["dev", "system:authenticated"]);
        let carol = ask(&tokens, "t3").unwrap();
        assert_eq!(carol.username, "Carol \"C\", x");
        assert_eq!(carol.groups, ["ops", "dev", "system:authenticated"]);
        assert_eq!(ask(&tokens, "t4"), None);
        assert_eq!(ask(&tokens, "T1"), None);
    }

    #[test]
    fn wrong_files_are_refused_with_the_line() {
        let table: &[(&[u8], &str)] = &[
            (b"", "the token file tokens.csv is empty"),
            (b"\n\n", "is empty"),
            (b"t,u,1\nsecret,v\n", "line 2 of the token file tokens.csv: has 2 of the columns"),
            (
                b"secret,u,1\nx,y,2\nsecret,v,2\n",
                "line 3 of the token file tokens.csv: has the same token as line 1",
            ),
            (b",u,1\n", "has an empty token"),
            (b"secret,,1\n", "has an empty user"),
            (b"secret,u,\"1\nt,v,2\n", "opens a quote"),
            (b"secret,u,1\nsecret2,\xff,2\n", "line 2 of the token file tokens.csv: is not UTF-8"),
        ];
        for (content, text) in table {
            let error = error(content);
            assert!(error.contains(text), "{error}");
            assert!(!error.contains("secret"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = StaticTokens::from_file("/nowhere/tokens.csv").unwrap_err().to_string();
        assert!(error.starts_with("cannot read the token file /nowhere/tokens.csv: "), "{error}");
    }

    #[test]
    fn debug_shows_no_token() {
        let tokens = StaticTokens::single("secret", UserInfo::new("alice"));
        assert_eq!(format!("{tokens:?}"), "StaticTokens(1 tokens)");
    }
}
