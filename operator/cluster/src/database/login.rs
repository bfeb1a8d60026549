//! Address and credentials of a database, read from Secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use steamer_api::DatabaseTlsMode;
use steamer_core::error::Error;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Address and credentials of a database.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) password: SecretString,
    pub(crate) tls: DatabaseTlsMode,
    /// CA in PEM. Empty if the certificate is not checked.
    pub(crate) ca: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.user, self.address(), self.database)
    }
}

/// Entries of a Secret.
pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

/// The part of a login that one Secret contains.
#[derive(Clone, Default)]
struct Partial {
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

/// A Secret with a login.
#[derive(Clone, Copy)]
pub(crate) struct LoginSource<'a> {
    /// Name of the Secret.
    pub(crate) name: &'a str,
    pub(crate) entries: &'a Entries,
    /// Login that supplies the values that the Secret lacks.
    pub(crate) defaults: Option<&'a Login>,
    pub(crate) namespace: &'a str,
    pub(crate) tls: DatabaseTlsMode,
    pub(crate) ca: &'a str,
}

impl Login {
    /// Reads a login in the format of CloudNativePG, or from a `uri`.
    pub(crate) fn read(source: &LoginSource<'_>) -> Result<Self, Error> {
        let LoginSource { name, entries, defaults, namespace, tls, ca } = *source;
        let Partial { host, port, database, user, password } = Partial::read(name, entries)?;
        let lacks = |key: &str| {
            Error::Invalid(format!("Secret {name} has no key `{key}`: add it, or a `uri` that carries it"))
        };
        let host = host.or_else(|| defaults.map(|login| login.host.clone())).ok_or_else(|| lacks("host"))?;
        let database = database.or_else(|| defaults.map(|login| login.database.clone()));
        let database = database.ok_or_else(|| lacks("dbname"))?;
        let (user, password) =
            (user.ok_or_else(|| lacks("username"))?, password.ok_or_else(|| lacks("password"))?);
        let values = [("host", &host), ("dbname", &database), ("username", &user), ("password", &password)];
        if let Some((key, why)) = values.into_iter().find_map(|(key, value)| Some((key, unsafe_part(value)?)))
        {
            return Err(Error::Invalid(format!(
                "`{key}` of Secret {name} {why}, which the connection settings of a node cannot contain: choose another"
            )));
        }
        Ok(Self {
            host: qualified(&host, namespace),
            port: port.or_else(|| defaults.map(|login| login.port)).unwrap_or(5432),
            database,
            user,
            password: password.into(),
            tls,
            ca: ca.to_owned(),
        })
    }

    /// The same database with another role.
    pub(crate) fn as_role(&self, user: &str, password: SecretString) -> Self {
        Self { user: user.to_owned(), password, ..self.clone() }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .dbname(&self.database)
            .user(&self.user)
            .password(self.password.expose_secret())
            .application_name("steamer")
            .ssl_mode(match self.tls {
                DatabaseTlsMode::Disable => SslMode::Disable,
                _ => SslMode::Require,
            });
        config
    }

    /// Service file of libpq, which OpenBao's driver reads, too.
    pub(crate) fn service_file(&self, ca_path: &str) -> String {
        let Self { host, port, database, user, password, tls, ca } = self;
        let mode = match tls {
            DatabaseTlsMode::Disable => "disable",
            DatabaseTlsMode::Require => "require",
            DatabaseTlsMode::VerifyCA => "verify-ca",
            DatabaseTlsMode::VerifyFull => "verify-full",
        };
        let mut text = format!(
            "[openbao]\nhost={host}\nport={port}\ndbname={database}\nuser={user}\npassword={}\nsslmode={mode}\nconnect_timeout=5\n",
            password.expose_secret()
        );
        // `require` with a CA would check the certificate.
        if !ca.is_empty() && matches!(tls, DatabaseTlsMode::VerifyCA | DatabaseTlsMode::VerifyFull) {
            text.push_str(&format!("sslrootcert={ca_path}\n"));
        }
        text
    }
}

/// Role in a service file.
pub(crate) fn user_of(service_file: &str) -> Option<&str> {
    service_file.lines().find_map(|line| line.strip_prefix("user="))
}

/// Password in a service file.
pub(crate) fn password_of(service_file: &str) -> Option<&str> {
    service_file.lines().find_map(|line| line.strip_prefix("password="))
}

/// The part of a value that would change its meaning in a service file: another line is another setting, and blanks at
/// the ends are lost.
fn unsafe_part(value: &str) -> Option<&'static str> {
    if value.contains(char::is_control) {
        Some("contains a line end or another control character")
    } else if value.trim() != value {
        Some("begins or ends with a blank")
    } else {
        None
    }
}

/// A host name without a dot is a Service in the namespace of the cluster.
fn qualified(host: &str, namespace: &str) -> String {
    if host.contains(['.', ':']) || host == "localhost" {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc")
    }
}

impl Partial {
    fn read(name: &str, entries: &Entries) -> Result<Self, Error> {
        let text = |key: &str| -> Result<Option<String>, Error> {
            let Some(value) = entries.get(key) else { return Ok(None) };
            let text = std::str::from_utf8(value)
                .map_err(|_| Error::Invalid(format!("key `{key}` of Secret {name} is not valid UTF-8")))?;
            // Editors add a newline, which a service file cannot contain.
            Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()).filter(|text| !text.is_empty()))
        };
        let mut partial = match text("uri")? {
            Some(uri) => Self::of_uri(name, &uri)?,
            None => Self::default(),
        };
        let Self { host, port, database, user, password } = &mut partial;
        *host = text("host")?.or(host.take());
        if let Some(given) = text("port")? {
            let parsed = given.parse();
            *port = Some(parsed.map_err(|_| {
                Error::Invalid(format!("key `port` of Secret {name} is `{given}`, not a port"))
            })?);
        }
        *database = text("dbname")?.filter(|name| name != "*").or(database.take());
        *user = text("username")?.or(text("user")?).or(user.take());
        *password = text("password")?.or(password.take());
        if password.as_deref().is_some_and(|password| password.contains(['\n', '\r'])) {
            return Err(Error::Invalid(format!("the password in Secret {name} spans several lines")));
        }
        Ok(partial)
    }

    fn of_uri(name: &str, uri: &str) -> Result<Self, Error> {
        let config = Config::from_str(uri).map_err(|_| {
            Error::Invalid(format!(
                "key `uri` of Secret {name} is not a URI such as postgresql://user:password@host:5432/database"
            ))
        })?;
        let host = config.get_hosts().iter().find_map(|host| match host {
            Host::Tcp(host) => Some(host.clone()),
            _ => None,
        });
        Ok(Self {
            host,
            port: config.get_ports().first().copied(),
            database: config.get_dbname().map(str::to_owned),
            user: config.get_user().map(str::to_owned),
            password: config.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Entries {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    fn source<'a>(name: &'a str, entries: &'a Entries) -> LoginSource<'a> {
        let tls = DatabaseTlsMode::VerifyFull;
        LoginSource { name, entries, defaults: None, namespace: "openbao", tls, ca: "PEM" }
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Login, Error> {
        Login::read(&source("pg-app", &entries(pairs)))
    }

    #[rstest]
    #[case(&[("host", "pg-rw"), ("port", "5432"), ("dbname", "app"), ("username", "app"), ("password", "p")], "app@pg-rw.openbao.svc:5432/app")]
    #[case(&[("host", "pg.example.com"), ("dbname", "app"), ("user", "app"), ("password", "p\n")], "app@pg.example.com:5432/app")]
    #[case(&[("uri", "postgresql://me:p%40s@10.1.2.3:6432/bao")], "me@10.1.2.3:6432/bao")]
    #[case(&[("uri", "postgresql://me:p@pg-rw:5432/bao"), ("host", "pg-rw"), ("username", "me"), ("password", "q")], "me@pg-rw.openbao.svc:5432/bao")]
    fn a_secret_is_read_in_the_format_of_cloud_native_pg(
        #[case] pairs: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        assert_eq!(format!("{:?}", read(pairs).unwrap()), expected);
    }

    #[rstest]
    #[case(&[("host", "pg"), ("dbname", "app"), ("username", "app")], "has no key `password`")]
    #[case(&[("dbname", "app"), ("username", "app"), ("password", "p")], "has no key `host`")]
    #[case(&[("host", "pg"), ("port", "x"), ("dbname", "app"), ("username", "a"), ("password", "p")], "not a port")]
    #[case(&[("uri", "mysql://x")], "is not a URI")]
    #[case(&[("host", "pg\nuser=x"), ("dbname", "app"), ("user", "a"), ("password", "p")], "`host` of Secret pg-app contains a line end")]
    #[case(&[("host", "pg"), ("dbname", "app\nhost=x"), ("user", "a"), ("password", "p")], "`dbname` of Secret pg-app contains a line end")]
    #[case(&[("host", "pg"), ("dbname", "app"), ("user", "a\rhost=x"), ("password", "p")], "`username` of Secret pg-app contains a line end")]
    #[case(&[("uri", "postgresql://a%0Ahost=x:p@pg/app")], "`username` of Secret pg-app contains a line end")]
    #[case(&[("uri", "postgresql://a:p@pg/app%0Ahost=x")], "`dbname` of Secret pg-app contains a line end")]
    #[case(&[("host", "pg"), ("dbname", "app"), ("user", "a"), ("password", " p")], "`password` of Secret pg-app begins or ends with a blank")]
    #[case(&[("host", "pg"), ("dbname", "app"), ("user", "a"), ("password", "p\nhost=x")], "spans several lines")]
    fn an_invalid_secret_is_reported(#[case] pairs: &[(&str, &str)], #[case] expected: &str) {
        let error = read(pairs).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_secret_of_the_admin_may_contain_only_username_and_password() {
        let owner = read(&[("uri", "postgresql://me:p@pg:5432/bao")]).unwrap();
        let admin = entries(&[("username", "admin"), ("password", "q")]);
        let admin = LoginSource { defaults: Some(&owner), ..source("pg-admin", &admin) };
        assert_eq!(format!("{:?}", Login::read(&admin).unwrap()), "admin@pg.openbao.svc:5432/bao");
    }

    #[test]
    fn a_password_is_never_printed() {
        let login = read(&[("uri", "postgresql://me:hush@pg:5432/bao")]).unwrap();
        assert!(!format!("{login:?}").contains("hush"));
        assert_eq!(password_of(&login.service_file("/ca")), Some("hush"));
        assert_eq!(user_of(&login.service_file("/ca")), Some("me"));
    }
}
