//! CAs and certificates of the test ground.

use std::path::Path;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A CA.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Certificate of the CA in PEM.
    pub pem: String,
    /// Key of the CA in PEM.
    pub key_pem: String,
}

/// A certificate and its key, in PEM.
pub struct Leaf {
    /// The certificate.
    pub pem: String,
    /// The key.
    pub key_pem: String,
}

impl Authority {
    /// Creates a CA.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn new(name: &str) -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let pem = parameters.self_signed(&key)?.pem();
        let key_pem = key.serialize_pem();
        Ok(Self { issuer: Issuer::new(parameters, key), pem, key_pem })
    }

    /// Loads an existing CA.
    ///
    /// # Errors
    /// When the certificate or the key cannot be parsed.
    pub fn held(pem: &str, key_pem: &str) -> Result<Self> {
        let issuer = Issuer::from_ca_cert_pem(pem, KeyPair::from_pem(key_pem)?)?;
        Ok(Self { issuer, pem: pem.to_owned(), key_pem: key_pem.to_owned() })
    }

    /// Creates a certificate for servers and clients. `organization` is the group in Kubernetes.
    ///
    /// # Errors
    /// When a name is invalid.
    pub fn leaf(&self, name: &str, organization: Option<&str>, names: &[&str]) -> Result<Leaf> {
        self.signed(Self::parameters(name, organization, names)?)
    }

    /// Creates a certificate that expired a minute ago.
    ///
    /// # Errors
    /// When a name is invalid.
    pub fn ended_leaf(&self, name: &str, names: &[&str]) -> Result<Leaf> {
        let mut parameters = Self::parameters(name, None, names)?;
        let day = std::time::Duration::from_secs(86_400);
        (parameters.not_before, parameters.not_after) =
            (std::time::SystemTime::now().into(), std::time::SystemTime::now().into());
        parameters.not_before -= day;
        parameters.not_after -= std::time::Duration::from_secs(60);
        self.signed(parameters)
    }

    fn parameters(name: &str, organization: Option<&str>, names: &[&str]) -> Result<CertificateParams> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names)?;
        parameters.distinguished_name.push(DnType::CommonName, name);
        if let Some(organization) = organization {
            parameters.distinguished_name.push(DnType::OrganizationName, organization);
        }
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        Ok(parameters)
    }

    fn signed(&self, parameters: CertificateParams) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let pem = parameters.signed_by(&key, &self.issuer)?.pem();
        Ok(Leaf { pem, key_pem: key.serialize_pem() })
    }
}

impl Leaf {
    /// Writes the certificate to `<name>.crt` and the key to `<name>.key`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        std::fs::write(folder.join(format!("{name}.crt")), &self.pem)?;
        std::fs::write(folder.join(format!("{name}.key")), &self.key_pem)?;
        Ok(())
    }
}
