package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

// documents are functions of External Secrets Operator with a result that Go's libraries determine.
var documents = template.FuncMap{
	"toYaml": func(value any) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	},
	"fromYaml": func(text string) (map[string]any, error) {
		value := map[string]any{}
		return value, yaml.Unmarshal([]byte(text), &value)
	},
	"filterPEM": func(label, text string) (string, error) {
		var out bytes.Buffer
		blocks := blocks(text)
		if len(blocks) == 0 && text != "" {
			return "", fmt.Errorf("no block")
		}
		for _, block := range blocks {
			if strings.EqualFold(block.Type, label) {
				if err := pem.Encode(&out, block); err != nil {
					return "", err
				}
			}
		}
		return out.String(), nil
	},
	"certSANs": func(text string) ([]string, error) {
		found := blocks(text)
		if len(found) == 0 {
			return nil, fmt.Errorf("no block")
		}
		certificate, err := x509.ParseCertificate(found[0].Bytes)
		if err != nil {
			return nil, err
		}
		names := append([]string{}, certificate.DNSNames...)
		for _, address := range certificate.IPAddresses {
			names = append(names, address.String())
		}
		names = append(names, certificate.EmailAddresses...)
		for _, uri := range certificate.URIs {
			names = append(names, uri.String())
		}
		return names, nil
	},
}

func blocks(text string) []*pem.Block {
	var found []*pem.Block
	if start := strings.Index(text, "-----BEGIN"); start >= 0 {
		text = text[start:]
	}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return found
		}
		found = append(found, block)
	}
}

// documentTemplates are rendered with the data of keys.json.
func documentTemplates() []string {
	all := []string{
		`{{ toYaml .map }}`, `{{ toYaml (list) }}`, `{{ toYaml (dict) }}`, `{{ toYaml nil }}`, `{{ toYaml (list 1 "a" nil true 2.5 (list) (dict)) }}`,
		`{{ toYaml (list (list 1 2) (list (list 3)) (dict "a" 1 "b" (list 1 (dict "c" 2)))) }}`, `{{ toYaml "a" }}`, `{{ toYaml 1 }}`, `{{ toYaml true }}`,
		`{{ dict "k" (dict "t" "a\nb\n" "u" "c") | toYaml | nindent 4 }}`, `{{ toYaml (dict "a\nb" "c" "d e" 1 "f:" 2 "yes" 3 "1" 4 "" 5 "#x" 6) }}`,
		`{{ toYaml (list "a\nb" (list "c\n\nd\n") (dict "e" " f\ng")) }}`, `{{ toYaml (dict "n" (int64 7) "f" 1e21 "g" 1e-7 "h" 123456789.0) }}`,
		`{{ toYaml .missing }}`, `{{ toYaml (float64 "nan") }}`, `{{ .map | toYaml | fromYaml | toYaml }}`,
		`{{ fromYaml .yaml | toJson }}`, `{{ (fromYaml .yaml).big }}`, `{{ (fromYaml .yaml).c.d }}`, `{{ fromYaml "" | toJson }}`, `{{ fromYaml "- a" }}`,
		`{{ fromYaml "a: [" }}`, `{{ fromYaml "a: &x {b: 1}\nc: *x" | toJson }}`, `{{ fromYaml "{\"a\": [1, 2.50, \"x\"]}" | toJson }}`, `{{ fromYaml "a" }}`,
		`{{ fromYaml "a: 0x1f\nb: 010\nc: 1_000\nd: 2026-01-02\ne: ~\nf: 'x'\ng: \"\\u00e9\"\nh: >-\n  a\n  b\n" | toJson }}`,
		`{{ fromYaml "a: y\nb: on\nc: No\nd: TRUE\ne: null\nf: Null\ng: 1e3\nh: .5\ni: +1\nj: 1.0" | toJson }}`, `{{ fromYaml "a: 1\na: 2" }}`,
		`{{ fromYaml "# comment\n---\na: b # c\n" | toJson }}`, `{{ fromYaml "1: a\ntrue: b\n" | toJson }}`, `{{ fromYaml "null" | toJson }}`,
		`{{ filterPEM "CERTIFICATE" (print .leaf .rsa .root) | sha256sum }}`, `{{ filterPEM "certificate" .root }}`, `{{ filterPEM "RSA PRIVATE KEY" (print .leaf .rsa) | sha256sum }}`,
		`{{ filterPEM "PRIVATE KEY" .root }}`, `{{ filterPEM "CERTIFICATE" "" }}`, `{{ filterPEM "CERTIFICATE" "junk" }}`, `{{ filterPEM "CERTIFICATE" (print "junk " .root "junk\n" .root) }}`,
		`{{ filterPEM "CERTIFICATE" (.root | replace "\n" "\r\n") }}`, `{{ filterPEM "CERTIFICATE" (print "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n" .root) }}`,
		`{{ filterPEM "K" "-----BEGIN K-----\nb: 1\nProc-Type: 4,ENCRYPTED\na: 2\n\nAAAA\n-----END K-----" }}`, `{{ filterPEM "K" "-----BEGIN K-----\nAAAA\n-----END L-----\n" }}`,
		`{{ filterPEM "K" "-----BEGIN K-----\n-----END K-----\n" }}`, `{{ filterPEM "K" "-----BEGIN K-----  \nAA\nAA \n-----END K-----  \nx" }}`, `{{ filterPEM "K" "-----BEGIN K-----\nAAAA-----END K-----\n" }}`,
		`{{ certSANs .leaf | join " " }}`, `{{ certSANs .root | toJson }}`, `{{ certSANs .rsa }}`, `{{ certSANs "" }}`, `{{ range certSANs .leaf }}[{{ . }}]{{ end }}`, `{{ certSANs (print "x" .leaf .root) | len }}`,
	}
	for index := 0; index < 97; index++ {
		all = append(all, fmt.Sprintf(`{{ toYaml (index .texts %d) }}`, index), fmt.Sprintf(`{{ toYaml (dict "k" (index .texts %d)) }}`, index))
	}
	return all
}
