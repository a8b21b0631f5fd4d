# Two images from one build:
#   docker build --target manager -t cargoship/manager .
#   docker build --target worker  -t cargoship/worker .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS=linux
ARG TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY cmd cmd
COPY controllers controllers
COPY internal internal
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags '-s -w' -o /out/ ./cmd/manager ./cmd/worker ./cmd/cargoship

FROM gcr.io/distroless/static:nonroot AS worker
# The pods run worker; cargoship is there for whoever reads a bucket from within the cluster.
COPY --from=build /out/worker /out/cargoship /
USER 65532:65532
ENTRYPOINT ["/worker"]

FROM gcr.io/distroless/static:nonroot AS manager
COPY --from=build /out/manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]
