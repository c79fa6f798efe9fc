package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// Types of in-toto and SLSA, https://slsa.dev/spec/v1.0/provenance.
const (
	statementType  = "https://in-toto.io/Statement/v1"
	provenanceType = "https://slsa.dev/provenance/v1"
	buildType      = home + "/blob/main/docs/release.md#how-a-release-is-built"
	builder        = home + "/blob/main/docs/release.md#who-builds"
)

// statement says of artefacts, by their digests, what the predicate says.
type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

// resource is an artefact, or something that one was made from.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

type predicate struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string            `json:"buildType"`
	ExternalParameters   map[string]string `json:"externalParameters"`
	InternalParameters   map[string]string `json:"internalParameters"`
	ResolvedDependencies []resource        `json:"resolvedDependencies"`
}

type runDetails struct {
	Builder struct {
		ID string `json:"id"`
	} `json:"builder"`
}

func (r *release) provenanceName() string { return r.fileName(".provenance.json") }

// predicate says from what and how the release was built. There is nothing in it of when and where: then two builds
// would differ.
func (r *release) predicate() (predicate, error) {
	dependencies := []resource{{
		URI: "git+" + home + "@refs/tags/v" + r.version, Digest: map[string]string{"gitCommit": r.commit},
	}}
	for _, module := range []string{".", "hack/release", "hack/tools/helm", "hack/tools/kustomize"} {
		path := filepath.ToSlash(filepath.Join(module, "go.sum"))
		_, digest, err := measure(filepath.Join(r.source, path))
		if err != nil {
			return predicate{}, err
		}
		dependencies = append(dependencies, resource{Name: path, Digest: map[string]string{"sha256": digest}})
	}
	p := predicate{BuildDefinition: buildDefinition{
		BuildType:            buildType,
		ExternalParameters:   map[string]string{"version": "v" + r.version, "registry": r.registry},
		InternalParameters:   map[string]string{"go": r.goSDK, "SOURCE_DATE_EPOCH": fmt.Sprint(r.epoch.Unix())},
		ResolvedDependencies: dependencies,
	}}
	p.RunDetails.Builder.ID = builder
	return p, nil
}

// makeProvenance writes one statement about every file and everything in the registry.
func (r *release) makeProvenance(context.Context) error {
	s := statement{Type: statementType, PredicateType: provenanceType}
	files, err := r.files()
	if err != nil {
		return err
	}
	for _, name := range files {
		_, digest, err := measure(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		s.Subject = append(s.Subject, resource{Name: name, Digest: map[string]string{"sha256": digest}})
	}
	refs, err := r.references()
	if err != nil {
		return err
	}
	for _, ref := range refs {
		s.Subject = append(s.Subject, resource{Name: ref.repository, Digest: map[string]string{"sha256": ref.digest.Hex}})
	}
	if s.Predicate, err = r.predicate(); err != nil {
		return err
	}
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return r.write(r.provenanceName(), append(content, '\n'))
}
