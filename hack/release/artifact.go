package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// artifact is something in a registry that is no image of a container, such as a chart: its configuration is not that
// of a container.
type artifact struct {
	config, manifest []byte
	layers           map[v1.Hash]v1.Layer
}

// newArtifact makes an artefact with one layer.
func newArtifact(config []byte, configType types.MediaType, layer []byte, layerType types.MediaType,
	annotations map[string]string) (v1.Image, error) {
	own := static.NewLayer(layer, layerType)
	digest, err := own.Digest()
	if err != nil {
		return nil, err
	}
	configDigest, configSize, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: annotations,
		Config: v1.Descriptor{MediaType: configType, Digest: configDigest, Size: configSize},
		Layers: []v1.Descriptor{{MediaType: layerType, Digest: digest, Size: int64(len(layer))}},
	})
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(artifact{config, manifest, map[v1.Hash]v1.Layer{digest: own}})
}

func (a artifact) RawConfigFile() ([]byte, error)      { return a.config, nil }
func (a artifact) RawManifest() ([]byte, error)        { return a.manifest, nil }
func (a artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (a artifact) LayerByDigest(d v1.Hash) (partial.CompressedLayer, error) {
	if layer, ok := a.layers[d]; ok {
		return layer, nil
	}
	return nil, fmt.Errorf("no layer has the digest %s", d)
}
