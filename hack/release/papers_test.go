package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	provenancev1 "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"google.golang.org/protobuf/encoding/protojson"
)

func TestTheProvenanceIsOneOfInTotoAndSLSA(t *testing.T) {
	r := sample(t)
	withImages(t, r)
	put(t, filepath.Join(r.out, "install.yaml"), "x")
	if err := r.makeProvenance(t.Context()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(r.out, r.provenanceName()))
	if err != nil {
		t.Fatal(err)
	}
	var s intoto.Statement
	if err := protojson.Unmarshal(content, &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	if s.GetPredicateType() != provenanceType {
		t.Error(s.GetPredicateType())
	}
	text, err := protojson.Marshal(s.GetPredicate())
	if err != nil {
		t.Fatal(err)
	}
	var p provenancev1.Provenance
	if err := protojson.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	names := map[string]bool{}
	for _, subject := range s.GetSubject() {
		names[subject.GetName()] = true
	}
	for _, want := range []string{"install.yaml", r.repository(), "registry.example.com/team/charts/castellan"} {
		if !names[want] {
			t.Errorf("nothing is said of %s", want)
		}
	}
	if !strings.Contains(string(content), `"gitCommit": "`+r.commit) {
		t.Error("the commit is not named")
	}
}

func TestTheSBOMIsReadAndItsRelationshipsHold(t *testing.T) {
	r := sample(t)
	withImages(t, r)
	for _, arch := range architectures {
		put(t, filepath.Join(r.work, product+"-"+arch), arch)
	}
	if err := r.makeSBOM(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(r.out, r.sbomName()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := spdxjson.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[common.ElementID]bool{"DOCUMENT": true}
	purls := map[string]string{}
	for _, p := range d.Packages {
		if ids[p.PackageSPDXIdentifier] {
			t.Errorf("%s is there twice", p.PackageSPDXIdentifier)
		}
		ids[p.PackageSPDXIdentifier] = true
		for _, ref := range p.PackageExternalReferences {
			purls[ref.Locator] = p.PackageLicenseDeclared
		}
	}
	for _, rel := range d.Relationships {
		if !ids[rel.RefA.ElementRefID] || !ids[rel.RefB.ElementRefID] {
			t.Errorf("%v %s %v names what is not there", rel.RefA, rel.Relationship, rel.RefB)
		}
	}
	if purls["pkg:golang/example.com/m@v1.0.0"] != "MIT" {
		t.Errorf("%v", purls)
	}
}

func TestLicencesAreKnownByTheirTexts(t *testing.T) {
	m := module{path: "castellan"}
	if err := m.readLicenses(repository); err != nil || m.license != "Apache-2.0" || len(m.texts) == 0 {
		t.Errorf("%q %v", m.license, err)
	}
	none := module{path: "none"}
	if err := none.readLicenses(t.TempDir()); err != nil || none.license != noAssertion {
		t.Errorf("%q %v", none.license, err)
	}
}

func TestNotesLinkToTheFilesOfTheVersion(t *testing.T) {
	r := sample(t)
	withImages(t, r)
	r.section = "- See [a](docs/a.md#b), [c](https://example.com/docs/c)."
	if err := r.makeNotes(t.Context()); err != nil {
		t.Fatal(err)
	}
	notes, err := os.ReadFile(filepath.Join(r.out, "RELEASE_NOTES.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"[a](" + home + "/blob/v0.1.0-rc.1/docs/a.md#b)", "[c](https://example.com/docs/c)",
		"`registry.example.com/team/castellan:0.1.0-rc.1@sha256:",
	} {
		if !strings.Contains(string(notes), want) {
			t.Errorf("the notes lack %s:\n%s", want, notes)
		}
	}
}
