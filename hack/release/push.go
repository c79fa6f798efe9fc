package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// reference is something that the release has in a registry.
type reference struct {
	title      string
	repository string
	tagged     string
	digest     v1.Hash
	taggable   remote.Taggable
}

// references are what a registry has of the release: image, chart and bundle.
func (r *release) references() ([]reference, error) {
	all := []struct {
		title, repository string
		content           interface {
			remote.Taggable
			Digest() (v1.Hash, error)
		}
	}{
		{"image, linux/amd64 and linux/arm64", r.repository(), r.image},
		{"chart", r.chartRepository(), r.chart},
		{"bundle for OLM", r.bundleRepository(), r.bundle},
	}
	var refs []reference
	for _, one := range all {
		digest, err := one.content.Digest()
		if err != nil {
			return nil, err
		}
		refs = append(refs, reference{one.title, one.repository, one.repository + ":" + r.version, digest, one.content})
	}
	return refs, nil
}

func (r *release) chartRepository() string  { return r.registry + "/charts/" + product }
func (r *release) bundleRepository() string { return r.registry + "/" + product + "-bundle" }

// mayPush asks the registry, before anything is built, whether it may be written to, and whether the version is there
// already, made from another commit. What was made from this commit may be pushed again: it has the same digest.
func (r *release) mayPush(ctx context.Context) error {
	for _, repository := range []string{r.repository(), r.chartRepository(), r.bundleRepository()} {
		tag, err := name.NewTag(repository+":"+r.version, name.StrictValidation)
		if err != nil {
			return fmt.Errorf("push %s: %w", repository, err)
		}
		if err := remote.CheckPushPermission(tag, authn.DefaultKeychain, remote.DefaultTransport); err != nil {
			return fmt.Errorf("%s cannot be pushed to: %w: is PUSH right, the registry up, and a login for it in "+
				"~/.docker/config.json (helm registry login)?", repository, err)
		}
		there, err := remote.Get(tag, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
		if isMissing(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look whether %s is there: %w", tag, err)
		}
		var manifest v1.Manifest
		if err := json.Unmarshal(there.Manifest, &manifest); err != nil {
			return fmt.Errorf("read the manifest of %s: %w", tag, err)
		}
		if from := manifest.Annotations[revisionLabel]; from != "" && from != r.commit {
			return fmt.Errorf("%s is published already, from commit %.12s, and a published version never changes: "+
				"release another one", tag, from)
		}
	}
	return nil
}

// isMissing says whether a registry answered that it has no such thing.
func isMissing(err error) bool {
	var refused *transport.Error
	return errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}

// push publishes. A version that is published never changes: where its tag is there with another digest,
// nothing is pushed. What is there with the same digest may stay, so that a push that was cut short can be repeated.
func (r *release) push(ctx context.Context) error {
	refs, err := r.references()
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	tags := map[string]name.Tag{}
	for _, ref := range refs {
		tag, err := name.NewTag(ref.tagged, name.StrictValidation)
		if err != nil {
			return fmt.Errorf("push %s: %w", ref.tagged, err)
		}
		tags[ref.tagged] = tag
		if err := free(tag, ref.digest, options); err != nil {
			return err
		}
	}
	for _, ref := range refs {
		tag := tags[ref.tagged]
		switch content := ref.taggable.(type) {
		case v1.ImageIndex:
			err = remote.WriteIndex(tag, content, options...)
		case v1.Image:
			err = remote.Write(tag, content, options...)
		default:
			err = errors.New("neither an image nor an index")
		}
		if err != nil {
			return fmt.Errorf("push %s: %w", ref.tagged, err)
		}
	}
	return r.pushHub(options)
}

// free says whether a tag is not there yet, or is there with the same digest.
func free(tag name.Tag, digest v1.Hash, options []remote.Option) error {
	there, err := remote.Head(tag, options...)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look whether %s is there: %w", tag, err)
	}
	if there.Digest != digest {
		return fmt.Errorf("%s is published already, as %s, and a published version never changes: release another one",
			tag, there.Digest)
	}
	return nil
}
