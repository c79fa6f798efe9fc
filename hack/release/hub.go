package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// What Artifact Hub reads of a repository of charts, as it documents for registries: a file under a tag of its own. The
// tag moves with every release.
const (
	hubFile       = "artifacthub-repo.yml"
	hubTag        = "artifacthub.io"
	hubConfigType = "application/vnd.cncf.artifacthub.config.v1+yaml"
	hubLayerType  = "application/vnd.cncf.artifacthub.repository-metadata.layer.v1.yaml"
)

// makeHub puts what Artifact Hub reads of the repository into the release.
func (r *release) makeHub(context.Context) error {
	content, err := os.ReadFile(filepath.Join(r.source, "charts", hubFile))
	if err != nil {
		return err
	}
	r.hub, err = newArtifact(nil, hubConfigType, content, hubLayerType, r.labels(hubFile))
	if err != nil {
		return err
	}
	return r.write(hubFile, content)
}

// pushHub publishes it.
func (r *release) pushHub(options []remote.Option) error {
	tag, err := name.NewTag(r.chartRepository()+":"+hubTag, name.StrictValidation)
	if err == nil {
		err = remote.Write(tag, r.hub, options...)
	}
	if err != nil {
		return fmt.Errorf("push %s:%s: %w", r.chartRepository(), hubTag, err)
	}
	return nil
}
