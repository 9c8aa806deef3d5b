// vet holds manifests against what the API server itself would say when they are created: strict decoding, defaults, and
// each kind's own validation. No server and no cluster are needed; what only a running cluster knows (whether a name that
// is referred to exists, quotas, admission plugins) is not looked at.
//
//	vet [FILE]...      documents of YAML or JSON; without a file, standard input
//
// Exit code 1: something is wrong, and each problem is a line. A kind that it does not know is a problem too.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	autoscaler "k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	claim "k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	budget "k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
)

// What the API server does before it stores an object, by kind.
var strategies = map[schema.GroupKind]rest.RESTCreateStrategy{
	{Kind: "ConfigMap"}:                                     configmap.Strategy,
	{Kind: "Namespace"}:                                     namespace.Strategy,
	{Kind: "PersistentVolumeClaim"}:                         claim.Strategy,
	{Kind: "Secret"}:                                        secret.Strategy,
	{Kind: "Service"}:                                       service.Strategy,
	{Kind: "ServiceAccount"}:                                serviceaccount.Strategy,
	{Group: "apps", Kind: "Deployment"}:                     deployment.Strategy,
	{Group: "apps", Kind: "StatefulSet"}:                    statefulset.Strategy,
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}: autoscaler.Strategy,
	{Group: "batch", Kind: "Job"}:                           job.Strategy,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:     networkpolicy.Strategy,
	{Group: "policy", Kind: "PodDisruptionBudget"}:          budget.Strategy,
}

func vet(document []byte) (string, error) {
	scheme := legacyscheme.Scheme
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	object, kind, err := decoder.Decode(document, nil, nil)
	if err != nil {
		return "", err
	}
	scheme.Default(object)
	internal, err := scheme.ConvertToVersion(object, schema.GroupVersion{Group: kind.Group, Version: runtime.APIVersionInternal})
	if err != nil {
		return kind.Kind, err
	}
	about, err := meta.Accessor(internal)
	if err != nil {
		return kind.Kind, err
	}
	name := kind.Kind + " " + about.GetName()
	strategy, known := strategies[kind.GroupKind()]
	if !known {
		return name, fmt.Errorf("vet does not know the kind %v; add its strategy", kind)
	}
	if strategy.NamespaceScoped() && about.GetNamespace() == "" {
		about.SetNamespace("default")
	}
	ctx := request.WithRequestInfo(request.NewContext(), &request.RequestInfo{APIGroup: kind.Group, APIVersion: kind.Version})
	ctx = request.WithNamespace(ctx, about.GetNamespace())
	rest.FillObjectMetaSystemFields(about)
	return name, rest.BeforeCreate(strategy, ctx, internal)
}

// Gives how many documents there were and how many were wrong.
func vetAll(place string, input io.Reader) (seen, wrong int) {
	documents := yaml.NewYAMLReader(bufio.NewReader(input))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return seen, wrong
		}
		if err != nil {
			fmt.Printf("%s: %v\n", place, err)
			return seen + 1, wrong + 1
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		seen++
		if name, err := vet(document); err != nil {
			wrong++
			fmt.Printf("%s: %s: %v\n", place, name, err)
		}
	}
}

func main() {
	seen, wrong := 0, 0
	add := func(s, w int) { seen, wrong = seen+s, wrong+w }
	if len(os.Args) == 1 {
		add(vetAll("standard input", os.Stdin))
	}
	for _, name := range os.Args[1:] {
		file, err := os.Open(name)
		if err != nil {
			fmt.Println(err)
			os.Exit(2)
		}
		add(vetAll(name, file))
		file.Close()
	}
	fmt.Printf("%d objects, %d wrong\n", seen, wrong)
	if wrong > 0 || seen == 0 {
		os.Exit(1)
	}
}
