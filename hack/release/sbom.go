package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"regexp"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
)

func (r *release) sbomName() string { return r.fileName(".spdx.json") }

// makeSBOM writes, in SPDX 2.3, what is in the image: the binary of every architecture, the Go modules and the library
// of Go that the linker has put there, and the authorities.
func (r *release) makeSBOM(context.Context) error {
	digest, err := r.image.Digest()
	if err != nil {
		return err
	}
	d := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: r.fileName(""),
		// Unique for the content, and the same for whoever builds the same.
		DocumentNamespace: home + "/spdx/" + r.fileName("") + "-" + digest.Hex,
		CreationInfo: &spdx.CreationInfo{
			Created: r.epoch.Format(time.RFC3339),
			Creators: []common.Creator{
				{CreatorType: "Organization", Creator: "Castellan authors"},
				{CreatorType: "Tool", Creator: "castellan-hack-release-" + r.version},
			},
		},
	}
	image := add(d, "Image", r.repository(), r.version, "Apache-2.0", fmt.Sprintf("pkg:oci/%s@%s?repository_url=%s&tag=%s",
		product, url.QueryEscape(digest.String()), url.QueryEscape(r.repository()), r.version))
	image.PrimaryPackagePurpose = "CONTAINER"
	image.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: digest.Hex}}
	relate(d, "DOCUMENT", "DESCRIBES", "Image")
	operator := add(d, "Operator", "github.com/castellan-dev/castellan", "v"+r.version, "Apache-2.0",
		"pkg:golang/github.com/castellan-dev/castellan@v"+r.version)
	operator.PrimaryPackagePurpose = "APPLICATION"
	for _, arch := range architectures {
		_, digest, err := measure(r.work + "/" + product + "-" + arch)
		if err != nil {
			return err
		}
		id := "Binary-" + arch
		binary := add(d, id, product+"-linux-"+arch, r.version, "Apache-2.0", "")
		binary.PrimaryPackagePurpose, binary.PackageFileName = "FILE", "/"+product
		binary.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: digest}}
		relate(d, "Image", "CONTAINS", id)
		relate(d, id, "GENERATED_FROM", "Operator")
	}
	for _, m := range r.modules {
		id := "Module-" + notInIDs.ReplaceAllString(m.path, "-")
		add(d, id, m.path, m.version, m.license, "pkg:golang/"+m.path+"@"+m.version).PrimaryPackagePurpose = "LIBRARY"
		relate(d, "Operator", "DEPENDS_ON", id)
	}
	authorities, err := r.moduleVersion(rootsModule)
	if err != nil {
		return err
	}
	add(d, "Authorities", rootsModule, authorities, "MPL-2.0", "pkg:golang/"+rootsModule+"@"+authorities).PackageComment =
		"Certificates of the authorities that Mozilla trusts."
	relate(d, "Image", "CONTAINS", "Authorities")

	var b bytes.Buffer
	if err := spdxjson.Write(d, &b, spdxjson.Indent("  "), spdxjson.EscapeHTML(false)); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return r.write(r.sbomName(), b.Bytes())
}

// notInIDs are the characters that an identifier of SPDX may not have.
var notInIDs = regexp.MustCompile(`[^a-zA-Z0-9.-]+`)

// add puts a package into the document. Where purl is a package URL, scanners find the package by it.
func add(d *spdx.Document, id, name, version, license, purl string) *spdx.Package {
	p := &spdx.Package{
		PackageSPDXIdentifier: common.ElementID(id), PackageName: name, PackageVersion: version,
		PackageDownloadLocation: noAssertion, PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: license,
		PackageCopyrightText: noAssertion, IsFilesAnalyzedTagPresent: true,
	}
	if purl != "" {
		p.PackageExternalReferences = []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl,
		}}
	}
	d.Packages = append(d.Packages, p)
	return p
}

func relate(d *spdx.Document, a, relationship, b string) {
	d.Relationships = append(d.Relationships, &spdx.Relationship{
		RefA: common.MakeDocElementID("", a), RefB: common.MakeDocElementID("", b), Relationship: relationship,
	})
}
