#!/bin/sh
# Writes keys.json, modern.p12 and legacy.p12: keys, certificates and keystores of OpenSSL 3 for the tests of the functions of
# External Secrets Operator. They are used by tests only. Run it in this folder to replace them; then run `make golden`.
set -eu
here=$(pwd)
cd "$(mktemp -d)"
for ca in root intermediate; do
    openssl ecparam -name prime256v1 -genkey -noout -out $ca.key
done
openssl req -x509 -key root.key -subj /CN=root -days 36500 -out root.crt \
    -addext basicConstraints=critical,CA:true -addext subjectKeyIdentifier=hash 2>/dev/null
sign() { # name, issuer, extensions
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    printf '%b\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' "$3" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -days 36500 -set_serial 7 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
}
sign intermediate root 'basicConstraints=critical,CA:true'
openssl genrsa -traditional -out leaf.key 2048 2>/dev/null
sign leaf intermediate 'subjectAltName=URI:spiffe://cluster/ns/web,IP:10.0.0.1,DNS:web.example.com,email:a@example.com,IP:2001:db8::1,DNS:*.example.com'
openssl pkcs8 -topk8 -nocrypt -in leaf.key -out leaf.pkcs8
openssl pkcs8 -topk8 -nocrypt -in root.key -out root.pkcs8
openssl genpkey -algorithm ed25519 -out ed.key
cat intermediate.crt root.crt > cas.crt
exported() {
    openssl pkcs12 -export "$@" -in leaf.crt -inkey leaf.key -certfile intermediate.crt -passout 'pass:pässword'
}
exported -out modern.p12
exported -legacy -out legacy.p12
cp modern.p12 legacy.p12 "$here/"
openssl pkcs12 -export -in root.crt -inkey root.key -passout pass: -out nopass.p12
printf 'decrypted' > plain
for hash in sha1 sha256 sha512; do
    openssl pkeyutl -encrypt -inkey leaf.key -in plain -out $hash.bin \
        -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:$hash -pkeyopt rsa_mgf1_md:$hash
done
python3 - "$here/keys.json" <<'PYTHON'
import base64, json, re, subprocess, sys
read = lambda name: open(name).read()
base = lambda name: base64.b64encode(open(name, "rb").read()).decode()
url = lambda bytes: base64.urlsafe_b64encode(bytes).rstrip(b"=").decode()

def fields(key):
    text = subprocess.check_output(["openssl", "pkey", "-in", key, "-text", "-noout"], text=True)
    found = re.findall(r"^([a-zA-Z0-9]+):\n((?:    [0-9a-f:]+\n)+)", text, re.M)
    return {name: bytes.fromhex(re.sub(r"[^0-9a-f]", "", value)) for name, value in found}

rsa = fields("leaf.key")
names = {"n": "modulus", "d": "privateExponent", "p": "prime1", "q": "prime2", "dp": "exponent1", "dq": "exponent2", "qi": "coefficient"}
rsa = {"kty": "RSA", "e": "AQAB"} | {short: url(rsa[long].lstrip(b"\0")) for short, long in names.items()}
ec, ed = fields("root.key"), fields("ed.key")
ec = {"kty": "EC", "crv": "P-256", "d": url(ec["priv"].lstrip(b"\0").rjust(32, b"\0")), "x": url(ec["pub"][1:33]), "y": url(ec["pub"][33:])}
ed = {"kty": "OKP", "crv": "Ed25519", "d": url(ed["priv"]), "x": url(ed["pub"])}
public = lambda jwk: json.dumps({name: value for name, value in jwk.items() if name in ("kty", "crv", "n", "e", "x", "y")})
data = {
    "root": read("root.crt"), "intermediate": read("intermediate.crt"), "leaf": read("leaf.crt"),
    "rsa": read("leaf.key"), "pkcs8": read("leaf.pkcs8"), "ec": read("root.key"), "ecPkcs8": read("root.pkcs8"), "ed": read("ed.key"),
    "modern": base("modern.p12"), "legacy": base("legacy.p12"), "nopass": base("nopass.p12"),
    "sha1": base("sha1.bin"), "sha256": base("sha256.bin"), "sha512": base("sha512.bin"),
    "jwkRsa": json.dumps(rsa), "jwkRsaShort": json.dumps({k: v for k, v in rsa.items() if k not in ("dp", "dq", "qi")}),
    "jwkRsaPublic": public(rsa), "jwkEc": json.dumps(ec), "jwkEcPublic": public(ec), "jwkEd": json.dumps(ed), "jwkEdPublic": public(ed),
    "yaml": "a: 1\nb: [x, 'y', 2.5, null, true, yes]\nc:\n  d: |\n    two\n    lines\n  e: {f: \"g\\n\"}\nbig: 1234567\n",
    "map": {"b": {"c": [1, {"d": "x", "e": []}, ["y", ["z"]]]}, "a": {}, "t": "one\n two\n", "n": None, "f": 1.5},
    "texts": ["text", "", "yes", "No", "1e3", "0x1f", "1_000", "2026-01-02", "10:20:30", "1.2.3", "a: b", "@x", "it's", "it's #1", "a\tb", "- a",
        "-a", "-----BEGIN", "Grüße, 世界", "~", "null", "true", " a", "a ", "a:", "a:b", "#a", "a#b", "a #b", "[a", "a[b", "*a", "&a", "!a", "|a", ">a",
        "%a", "`a", "?a", "? a", ":a", "\"a", "'a", "a'b\"c", "1", "-1", "+1", "01", "08", ".5", "5.", "1.5e3", "0b11", "0o17", ".inf", ".nan", "<<", "=",
        "a\nb", "a\nb\n", "a\n\nb", "a\n\n", "\n", " a\nb", "a \nb", "\na", "a\n b", "a\r\nb", "2026-01-02T03:04:05Z", "---", "...", "\u00a0", "\u2028",
        "\u0007", "😀", "1:2", "12e03", "-.5", "0.", "e1", "0x", "y", "n", "on", "OFF", "Y", "1,5", ",a", "a,b", "{a", "a}b", "]", "-", "?", ":", "$a", "a$b/c=d&e"],
}
json.dump(data, open(sys.argv[1], "w"), ensure_ascii=False, separators=(",", ":"))
PYTHON
