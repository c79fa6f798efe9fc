package pki

import (
	"bytes"
	"encoding/pem"
	"slices"
	"testing"
	"time"
)

func TestOfAFileOfAnchorsOnlyCertificatesAreLeft(t *testing.T) {
	first, err1 := NewAuthority("first", time.Now())
	second, err2 := NewAuthority("second", time.Now())
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	der, _ := pem.Decode(first.KeyPEM)
	disguised := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der.Bytes})
	for name, c := range map[string]struct{ file, want []byte }{
		"one certificate stays to the byte": {first.CertPEM, first.CertPEM},
		"two stay in their order": {slices.Concat(first.CertPEM, second.CertPEM),
			slices.Concat(first.CertPEM, second.CertPEM)},
		"a key beside it goes":          {slices.Concat(first.KeyPEM, first.CertPEM, second.KeyPEM), first.CertPEM},
		"a key that is called one goes": {slices.Concat(disguised, first.CertPEM), first.CertPEM},
		"text goes": {slices.Concat([]byte("password: hush\n"), first.CertPEM,
			[]byte("hush")), first.CertPEM},
		"a key alone is nothing":   {first.KeyPEM, nil},
		"an empty file is nothing": {nil, nil},
	} {
		if got := CertificatesOnly(c.file); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
