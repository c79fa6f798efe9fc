// Package kube is a small client of the API server: enough to wait for it, to
// apply a few objects and to read nodes, without client-go.
package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/pki"
)

const requestTimeout = 10 * time.Second

// Client speaks to one API server.
type Client struct {
	server string
	http   *http.Client
}

// New makes a client that is authenticated by the certificate of that name.
func New(server string, store pki.Store, ca, name string) (*Client, error) {
	cert, err := tls.LoadX509KeyPair(store.Cert(name), store.Key(name))
	if err != nil {
		return nil, err
	}
	root, err := os.ReadFile(store.Cert(ca))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		return nil, errors.New("no certificate in " + store.Cert(ca))
	}
	config := &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}
	return &Client{
		server: server,
		http:   &http.Client{Timeout: requestTimeout, Transport: &http.Transport{TLSClientConfig: config}},
	}, nil
}

// Do sends a request and returns the body of a successful answer.
func (c *Client) Do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "localcluster")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(content)))
	}
	return content, nil
}

// Apply creates or updates the object at path by server-side apply.
func (c *Client) Apply(ctx context.Context, path, yaml string) error {
	_, err := c.Do(ctx, http.MethodPatch, path+"?fieldManager=localcluster&force=true",
		"application/apply-patch+yaml", []byte(yaml))
	return err
}

// Ready tells whether the API server answers and all its start hooks ran.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.Do(ctx, http.MethodGet, "/readyz", "", nil)
	return err
}

// WaitReady polls Ready. It ends early when stopped gets an error.
func (c *Client) WaitReady(ctx context.Context, timeout time.Duration, stopped <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	for {
		if last = c.Ready(ctx); last == nil {
			return nil
		}
		select {
		case err := <-stopped:
			return err
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready: %w", last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Node is what we want to know of a node.
type Node struct {
	Name      string
	Ready     bool
	Heartbeat time.Time
	Version   string
	Zone      string
	IP        string // the first one: that of the first family
}

// Nodes lists the nodes of the cluster by name.
func (c *Client) Nodes(ctx context.Context) (map[string]Node, error) {
	content, err := c.Do(ctx, http.MethodGet, "/api/v1/nodes", "", nil)
	if err != nil {
		return nil, err
	}
	return parseNodes(content)
}

func parseNodes(content []byte) (map[string]Node, error) {
	var list struct {
		Items []struct {
			Metadata struct {
				Name   string
				Labels map[string]string
			}
			Status struct {
				Conditions []struct {
					Type, Status      string
					LastHeartbeatTime time.Time
				}
				Addresses []struct{ Type, Address string }
				NodeInfo  struct{ KubeletVersion string }
			}
		}
	}
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, fmt.Errorf("list of nodes: %w", err)
	}
	nodes := map[string]Node{}
	for _, item := range list.Items {
		n := Node{
			Name:    item.Metadata.Name,
			Version: item.Status.NodeInfo.KubeletVersion,
			Zone:    item.Metadata.Labels["topology.kubernetes.io/zone"],
		}
		for _, c := range item.Status.Conditions {
			if c.Type == "Ready" {
				n.Ready, n.Heartbeat = c.Status == "True", c.LastHeartbeatTime
			}
		}
		for _, a := range item.Status.Addresses {
			if a.Type == "InternalIP" && n.IP == "" {
				n.IP = a.Address
			}
		}
		nodes[n.Name] = n
	}
	return nodes, nil
}
