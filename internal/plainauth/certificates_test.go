package plainauth

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

func certificateOf(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(readFile(t, "testdata/certificates/"+name+".crt")))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestTheSharedListIsWhatThisPackageWrites(t *testing.T) {
	app, ended := CertificateOf("app", certificateOf(t, "app")), CertificateOf("ended", certificateOf(t, "ended"))
	app.End, ended.End = time.Unix(4102444800, 0).UTC(), time.Unix(1000000000, 0).UTC()
	want := readFile(t, "testdata/certificates/list")
	if got := string(CertificateList([]UserCertificate{ended, app, app})); got != want {
		t.Errorf("testdata/certificates/list differs; got:\n%s\nwant:\n%s", got, want)
	}
	back, err := ParseCertificateList([]byte(want))
	if err != nil || !slices.Equal(back, []UserCertificate{app, ended}) {
		t.Errorf("read back as %v, %v", back, err)
	}
}

func TestAFaultyLineOfTheListHarmsNoOther(t *testing.T) {
	good := strings.Repeat("a", 64)
	list := strings.Join([]string{"anna:" + good + ":4102444800", "bert:" + good + ":4102444800", "no",
		"c d:" + strings.Repeat("b", 64) + ":1", "e:" + strings.Repeat("B", 64) + ":1",
		"f:" + strings.Repeat("c", 64) + ":01", ":" + strings.Repeat("d", 64) + ":1",
		"g:" + strings.Repeat("e", 63) + ":1", ""}, "\n")
	all, err := ParseCertificateList([]byte(list))
	if len(all) != 1 || all[0].Name != "anna" || err == nil || strings.Count(err.Error(), "line ") != 7 {
		t.Errorf("%v, %v", all, err)
	}
}
