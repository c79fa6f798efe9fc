module github.com/castellan-dev/castellan/hack/demo

go 1.26.0
