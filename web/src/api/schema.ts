// Generated from docs/openapi.json: `npm run api` writes it.

export interface paths {
    "/liveness": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** 200 as long as the process runs. */
        get: operations["liveness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The page on which a user signs in.
         * @description `return_to` is a path of this loader or a page of `CORS_ALLOWED_ORIGINS`. A page that opens this
         *     one in a popup gives a random `state` along; it gets a one-time code and that state by a message
         *     (`remote-data-loader:code`), or in the fragment of `return_to`, and redeems them at
         *     `POST /v1/session`.
         */
        get: operations["getLogin"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ends the session of the cookie: here, and where its tokens can be revoked, everywhere. */
        post: operations["postLogout"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/oauth/callback": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Where the provider sends the user back to.
         * @description The page hands a one-time code to the page that began.
         */
        get: operations["getOauthCallback"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/oauth/start": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Goes to the provider.
         * @description The parameters are those of `/login`.
         */
        get: operations["getOauthStart"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document. */
        get: operations["getOpenapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readiness": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** 200 when requests can be answered. */
        get: operations["readiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How the sources of a recording come along.
         * @description Server-sent events, at most four a second; each `data:` is an `Event`. The last is `done`, when
         *     nothing is being loaded any more, or `failed`, when a source failed or the recording is no
         *     longer granted; the latter holds a `Problem`.
         */
        get: operations["getEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/explain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What the answer to a query is made of: the query is answered, and the answer thrown away.
         * @description Which sources were touched and why, which chunks passed through and why others were rewritten,
         *     how much was read from where, and what took its time. What it loads stays loaded.
         */
        get: operations["getExplanation"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/files/{token}/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A recording as one MCAP file.
         * @description The whole recording as stable bytes: any tool that reads an MCAP by ranges opens it. The path is
         *     `links.file` of `/v1/recording`, or comes from `POST /v1/links`. One range at a time is served;
         *     several are answered with the whole. Waits until every source is loaded, and answers 503 with the
         *     progress when that takes longer than `FILE_WAIT_MS`. 410: these bytes are gone, open the
         *     recording anew. With auth a link carries the authority of the user who got it, until their access
         *     token runs out; a bearer token of the request counts before it, the session's cookie after it.
         */
        get: operations["getFile"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /**
         * A recording as one MCAP file.
         * @description The whole recording as stable bytes: any tool that reads an MCAP by ranges opens it. The path is
         *     `links.file` of `/v1/recording`, or comes from `POST /v1/links`. One range at a time is served;
         *     several are answered with the whole. Waits until every source is loaded, and answers 503 with the
         *     progress when that takes longer than `FILE_WAIT_MS`. 410: these bytes are gone, open the
         *     recording anew. With auth a link carries the authority of the user who got it, until their access
         *     token runs out; a bearer token of the request counts before it, the session's cookie after it.
         */
        head: operations["headFile"];
        patch?: never;
        trace?: never;
    };
    "/v1/links": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Links to a recording, or to a part of it.
         * @description The manifest endpoint is asked whether the caller may see the recording. The body is that of
         *     `POST /v1/stream`, less `partial`: a file is the same for everyone. Without topics, times, replay
         *     policy, compression and attachments the file is the whole recording, with everything that it has.
         */
        post: operations["postLinks"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/recording": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What is known of a recording.
         * @description Starts no load, but indexes static sources for at most 5 s; what is not known then stays
         *     `pending`. Parameters written `ds.<name>=<value>` reach the manifest endpoint as
         *     `<name>=<value>`, in their order, repeated ones too; `ds` and `ds.dataLoaderUrl` are ignored.
         */
        get: operations["getRecording"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether somebody is signed in with a cookie. */
        get: operations["getSession"];
        put?: never;
        /**
         * Makes a session of a one-time code, in a cookie.
         * @description The code is good once, for a minute, for pages of the origin to which `/login` was to return.
         */
        post: operations["postSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/session/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Refreshes the session of the cookie, whether it has run out or not.
         * @description Nothing else does. A repeat within a minute, also with the cookie from before, gets the same
         *     answer, so that nothing is lost when an answer is.
         */
        post: operations["postSessionRefresh"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The messages that are asked for, as one MCAP in ascending log time.
         * @description What fails after the status aborts the connection: a stream that ends cleanly is complete, but
         *     for what its closing metadata record `remote-data-loader` names.
         */
        get: operations["getStream"];
        put?: never;
        /**
         * The messages that are asked for, as one MCAP in ascending log time.
         * @description The same as the GET, asked in JSON.
         */
        post: operations["postStream"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/view": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The viewer.
         * @description Its link says what it shows: `ds.<name>=<value>` as everywhere; `ds.dataLoaderUrl` another loader
         *     to ask; `at` the moment; `start`, `end` and `topics` a selection; `panel` what is open. All but the
         *     first is the page's own business, and not looked at here.
         */
        get: operations["getView"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * @description The compressions by name.
         * @enum {string}
         */
        Compression: "lz4" | "zstd" | "none";
        /** @description Something wrong with the data that did not stop it from being served. */
        DataProblem: {
            /**
             * @description What kind of problem; stable, for programs.
             * @example damaged-chunk
             */
            code: string;
            /**
             * Format: int64
             * @description How many times it was met.
             */
            count: number;
            /** @description What is wrong, where, and what to do. */
            message: string;
            /** @description Whether data is missing because of it. */
            severity: components["schemas"]["Severity"];
            /** @description The source. */
            source: string | null;
            /** @description The topic, where only one is concerned. */
            topic: string | null;
        };
        /** @description What an event of `/v1/events` holds. */
        Event: {
            /** @description What is wrong with the data. */
            problems: components["schemas"]["DataProblem"][];
            /** @description The sources, in the order of the manifest. */
            sources: components["schemas"]["Source"][];
        };
        /** @description What became of chunks. */
        ExplainedChunks: {
            /**
             * Format: int64
             * @description How many passed through as they are.
             */
            passed: number;
            /**
             * @description How many were taken apart and written anew, by the reason: `overlap` (messages of others
             *     lie between theirs), `other-topics`, `other-times`, `out-of-order`, `compression`, `ids`
             *     or `late`.
             */
            rewritten: {
                [key: string]: number;
            };
        };
        /** @description What was read. */
        ExplainedReads: {
            /**
             * Format: int64
             * @description How many bytes, as they are stored.
             */
            bytes: number;
            /**
             * Format: int64
             * @description How many chunks.
             */
            chunks: number;
        };
        /** @description What became of a source. */
        ExplainedSource: {
            /** @description Its chunks. */
            chunks: components["schemas"]["ExplainedChunks"];
            /** @description Its id, or its URL less query and credentials. */
            id: string;
            /** @description Read once and in order, or by ranges. */
            kind: components["schemas"]["SourceKind"];
            /** @description What was read for them, by where it was. */
            reads: {
                [key: string]: components["schemas"]["ExplainedReads"];
            };
            /** @description Whether anything was asked of it. */
            touched: boolean;
            /** @description `merged`, `looked-back`, `other-times`, `other-topics` or `failed`. */
            use: string;
            /** @description The same, in words. */
            why: string;
        };
        /** @description What an answer is made of, and what takes its time. */
        Explanation: {
            /**
             * Format: int64
             * @description How long it is, in bytes.
             */
            bytes: number;
            /** @description The chunks of all sources together. */
            chunks: components["schemas"]["ExplainedChunks"];
            /**
             * Format: double
             * @description From then to the first message, or to its absence.
             */
            firstMessageMs: number;
            /**
             * Format: double
             * @description How long the manifest endpoint took, or the cache, in milliseconds.
             */
            manifestMs: number;
            /**
             * Format: int64
             * @description How many messages it has.
             */
            messages: number;
            /** @description What was read for them, by where it was: `memory`, `disk`, `bucket`, `source`. */
            reads: {
                [key: string]: components["schemas"]["ExplainedReads"];
            };
            /** @description The sources, in the order of the manifest. */
            sources: components["schemas"]["ExplainedSource"][];
            /**
             * @description What that time went to, in milliseconds: `lookback`, `sources` (waiting for them to be found,
             *     indexed or loaded), `reads` (of chunks that are not here), `merge`, `send` and `room` (on
             *     the disk).
             */
            stagesMs: {
                [key: string]: number;
            };
            /**
             * Format: double
             * @description From then to the end.
             */
            totalMs: number;
        };
        /** @description Paths on this loader; each holds the manifest parameters of the request. */
        Links: {
            /**
             * @description How its sources come along.
             * @example /v1/events?ds.recording=first-recording
             */
            events: string;
            /**
             * @description The recording as one file that any MCAP tool reads. It names one exact file once all sources
             *     are known, and until then whatever the recording will be.
             * @example /v1/files/eyJwIjpbXX0/recording.mcap
             */
            file: string;
            /**
             * @description The recording as one MCAP stream.
             * @example /v1/stream?ds.recording=first-recording
             */
            stream: string;
            /**
             * @description The page that shows it.
             * @example /view?ds=remote-data-loader&ds.recording=first-recording
             */
            view: string;
        };
        /** @description Paths on this loader. */
        NewLinks: {
            /**
             * Format: date-time
             * @description Until when the file's link works without further authority; null: for ever, or for as long as
             *     the caller's token lasts, where that is not known.
             */
            expires: string | null;
            /**
             * @description As one file that any MCAP tool reads. A part of a recording is made when the file is asked for
             *     first, and kept.
             * @example /v1/files/eyJwIjpbXX0/recording.mcap
             */
            file: string;
            /**
             * @description As one MCAP stream.
             * @example /v1/stream?ds.recording=first-recording
             */
            stream: string;
            /**
             * @description The page that shows it, with the part selected.
             * @example /view?ds=remote-data-loader&ds.recording=first-recording
             */
            view: string;
        };
        /** @description Redeems a one-time code. */
        NewSession: {
            /** @description What the page got from the callback. */
            code: string;
            /** @description Whether the page, though of this loader's own site, is shown in a frame of another. */
            embedded?: boolean;
            /** @description The state that the page gave to `/login`. */
            state?: string | null;
        };
        /** @description A value of a manifest parameter, for the schema. */
        ParamValue: string | string[];
        /** @description The body of a problem. */
        Problem: {
            /**
             * @description Stable, for programs.
             * @example bad-gateway
             */
            code: string;
            /** @description What is wrong, where, and what to do; or what the data backend says to the user. */
            detail: string;
            /**
             * @description With a 401: where a user signs in; a path or a URL.
             * @example https://loader.example.com/login
             */
            loginUrl?: string | null;
            /**
             * @description What the request is called in the loader's log; the header `x-request-id` too.
             * @example 0f8fad5b-d9cb-469f-a165-70867728950e
             */
            requestId?: string | null;
            /**
             * Format: int32
             * @description The HTTP status.
             * @example 502
             */
            status: number;
            /**
             * @description The phrase of the status.
             * @example Bad Gateway
             */
            title: string;
            /**
             * @description `about:blank`: the status says it; `code` is for programs.
             * @example about:blank
             */
            type: string;
        };
        /** @description What is known of a recording. */
        Recording: {
            /**
             * Format: date-time
             * @description The last log time of any source, RFC 3339 with nanoseconds; null while it is unknown.
             */
            end: string | null;
            /**
             * Format: int64
             * @description How long the recording is as one file, in bytes; null until all of it is known.
             */
            fileBytes: number | null;
            /** @description Where to go from here. */
            links: components["schemas"]["Links"];
            /** @description The title that the manifest gives. */
            name: string | null;
            /** @description What is wrong with the data. */
            problems: components["schemas"]["DataProblem"][];
            /** @description The sources, in the order of the manifest. */
            sources: components["schemas"]["Source"][];
            /**
             * Format: date-time
             * @description The first log time of any source, RFC 3339 with nanoseconds; null while it is unknown.
             */
            start: string | null;
            /** @description The topics, by name; one with several schemas stands there once for each. */
            topics: components["schemas"]["Topic"][];
        };
        /**
         * @description The replay policies by name.
         * @enum {string}
         */
        ReplayPolicy: "none" | "lastPerChannel" | "lastPerChannelInRange";
        /** @description Whether somebody is signed in. Never the tokens. */
        Session: {
            /**
             * Format: date-time
             * @description Until when, RFC 3339; null where that is not known, and without a session.
             */
            expires: string | null;
            /** @description Whether `POST /v1/session/refresh` may make it longer. */
            refreshable: boolean;
            /** @description Whether requests with the cookie are answered now. */
            signedIn: boolean;
        };
        /**
         * @description How bad a problem is.
         * @enum {string}
         */
        Severity: "warning" | "error";
        /** @description Where a user ends the session at the provider. */
        SignedOut: {
            /** @description The provider's own page for it, where there is one. */
            logoutUrl: string | null;
        };
        /** @description A source. */
        Source: {
            /**
             * Format: int64
             * @description Bytes kept of a streamed source, or the size of a static one.
             */
            bytes: number | null;
            /**
             * Format: date-time
             * @description Its last log time.
             */
            end: string | null;
            /** @description Why it failed. */
            error: string | null;
            /** @description Its id, or its URL less query and credentials. */
            id: string;
            /** @description Read once and in order, or by ranges. */
            kind: components["schemas"]["SourceKind"];
            /**
             * Format: date-time
             * @description While it loads: every message before this time is there.
             */
            loadedUntil: string | null;
            /**
             * Format: int64
             * @description How many messages, once known.
             */
            messageCount: number | null;
            /**
             * Format: date-time
             * @description Its first log time.
             */
            start: string | null;
            /** @description How far it has come. */
            state: components["schemas"]["SourceState"];
        };
        /**
         * @description The kinds of source.
         * @enum {string}
         */
        SourceKind: "streamed" | "static";
        /**
         * @description How far a source has come.
         * @enum {string}
         */
        SourceState: "pending" | "loading" | "cached" | "indexed" | "failed";
        /** @description The body of `POST /v1/stream`. */
        StreamRequest: {
            /** @description Send attachments too. */
            attachments?: boolean;
            compression?: components["schemas"]["Compression"] | null;
            end?: components["schemas"]["Time"] | null;
            /** @description What the manifest endpoint gets; a value may be a list. */
            manifestParams?: {
                [key: string]: components["schemas"]["ParamValue"];
            };
            /** @description Leave out sources that fail, and name them in the closing metadata record. */
            partial?: boolean;
            /**
             * Format: double
             * @description How many seconds before `start` sources may lie that are loaded only to look back.
             * @default 1800
             */
            replayLookbackSeconds: number | null;
            /** @description What is sent besides the range. */
            replayPolicy?: components["schemas"]["ReplayPolicy"];
            start?: components["schemas"]["Time"] | null;
            /** @description The topics; all when absent. */
            topics?: string[] | null;
        };
        /** @description RFC 3339, or whole nanoseconds since the Unix epoch, for the schema. */
        Time: string | number;
        /** @description Times between two, both of which are in it. */
        TimeRange: {
            /**
             * Format: date-time
             * @description The last time in it.
             */
            end: string;
            /**
             * Format: date-time
             * @description The first time in it.
             */
            start: string;
        };
        /** @description A topic. */
        Topic: {
            /**
             * Format: int64
             * @description How many messages; null until every source that has the topic is known whole.
             */
            messageCount: number | null;
            /** @description How its messages are written. */
            messageEncoding: string;
            /** @description The topic. */
            name: string;
            /**
             * @description Where it has messages, as far as is known: disjoint, in order of time, at most 64. Gaps up
             *     to a 500th of the recording's time are not told, and none up to twice the usual time from
             *     one message to the next. What is not loaded yet counts as the manifest declares it.
             */
            ranges: components["schemas"]["TimeRange"][];
            /**
             * Format: byte
             * @description Its schema, standard base64.
             */
            schemaData: string | null;
            /** @description How its schema is written. */
            schemaEncoding: string | null;
            /** @description The name of its schema. */
            schemaName: string | null;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    liveness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The process runs */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    getLogin: {
        parameters: {
            query?: {
                /** @description Where the user goes on afterwards */
                return_to?: string;
                /** @description The asking page's own random text; comes back. Needed if that page is elsewhere */
                state?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": unknown;
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    postLogout: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Nobody is signed in any more */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SignedOut"];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getOauthCallback: {
        parameters: {
            query: {
                /** @description As it was given to the provider */
                state: string;
                /** @description The provider's code */
                code?: string;
                /** @description Why there is none */
                error?: string;
                /** @description Who the provider is (RFC 9207) */
                iss?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": unknown;
                };
            };
        };
    };
    getOauthStart: {
        parameters: {
            query?: {
                /** @description Where the user goes on afterwards */
                return_to?: string;
                /** @description The asking page's own; comes back */
                state?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description To the provider */
            303: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getOpenapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The API, as OpenAPI */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": unknown;
                };
            };
        };
    };
    readiness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Requests can be answered */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description They cannot, and why */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getEvents: {
        parameters: {
            query?: {
                /** @description A manifest parameter; any number of them */
                "ds.{name}"?: string;
                /** @description Load everything */
                prefetch?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["Event"];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getExplanation: {
        parameters: {
            query?: {
                /** @description A manifest parameter; any number of them */
                "ds.{name}"?: string;
                /** @description A topic; may be repeated; all when absent */
                topics?: string[];
                /** @description The first log time: RFC 3339 or whole nanoseconds since the Unix epoch */
                start?: components["schemas"]["Time"];
                /** @description The last log time, included */
                end?: components["schemas"]["Time"];
                /** @description What is sent besides the range */
                replayPolicy?: components["schemas"]["ReplayPolicy"];
                /** @description How far before `start` sources may lie that are loaded only to look back; 1800 when absent */
                replayLookbackSeconds?: number;
                /** @description What the client can read besides chunks without compression; when absent chunks pass as they are, and what is rewritten is lz4 */
                compression?: components["schemas"]["Compression"];
                /** @description Leave out sources that fail, and name them in the closing metadata record */
                partial?: boolean;
                /** @description Send attachments too */
                attachments?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What it is made of */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Explanation"];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getFile: {
        parameters: {
            query?: never;
            header?: {
                /** @description One range of bytes (RFC 9110 section 14) */
                Range?: string | null;
                /** @description The ETag that the range is of */
                "If-Range"?: string | null;
                /** @description The ETag that the file must have */
                "If-Match"?: string | null;
                /** @description The ETag of what is known */
                "If-None-Match"?: string | null;
            };
            path: {
                /** @description What the file is; opaque */
                token: string;
                /** @description Any name that ends in `.mcap` */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/mcap": number[];
                };
            };
            /** @description The range */
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/mcap": number[];
                };
            };
            /** @description It is the file that is known */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description It is another file than the one expected */
            412: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The file has none of that range */
            416: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    headFile: {
        parameters: {
            query?: never;
            header?: {
                /** @description One range of bytes (RFC 9110 section 14) */
                Range?: string | null;
                /** @description The ETag that the range is of */
                "If-Range"?: string | null;
                /** @description The ETag that the file must have */
                "If-Match"?: string | null;
                /** @description The ETag of what is known */
                "If-None-Match"?: string | null;
            };
            path: {
                /** @description What the file is; opaque */
                token: string;
                /** @description Any name that ends in `.mcap` */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/mcap": number[];
                };
            };
            /** @description The range */
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/mcap": number[];
                };
            };
            /** @description It is the file that is known */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description It is another file than the one expected */
            412: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The file has none of that range */
            416: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    postLinks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["StreamRequest"];
            };
        };
        responses: {
            /** @description The links */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NewLinks"];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getRecording: {
        parameters: {
            query?: {
                /** @description A manifest parameter; any number of them */
                "ds.{name}"?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What is known */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Recording"];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Signed in or not */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
        };
    };
    postSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewSession"];
            };
        };
        responses: {
            /** @description Signed in */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    postSessionRefresh: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Refreshed */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getStream: {
        parameters: {
            query?: {
                /** @description A manifest parameter; any number of them */
                "ds.{name}"?: string;
                /** @description A topic; may be repeated; all when absent */
                topics?: string[];
                /** @description The first log time: RFC 3339 or whole nanoseconds since the Unix epoch */
                start?: components["schemas"]["Time"];
                /** @description The last log time, included */
                end?: components["schemas"]["Time"];
                /** @description What is sent besides the range */
                replayPolicy?: components["schemas"]["ReplayPolicy"];
                /** @description How far before `start` sources may lie that are loaded only to look back; 1800 when absent */
                replayLookbackSeconds?: number;
                /** @description What the client can read besides chunks without compression; when absent chunks pass as they are, and what is rewritten is lz4 */
                compression?: components["schemas"]["Compression"];
                /** @description Leave out sources that fail, and name them in the closing metadata record */
                partial?: boolean;
                /** @description Send attachments too */
                attachments?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The MCAP */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/mcap": number[];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    postStream: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["StreamRequest"];
            };
        };
        responses: {
            /** @description The MCAP */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/mcap": number[];
                };
            };
            /** @description Why not */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getView: {
        parameters: {
            query?: {
                /** @description A manifest parameter; any number of them */
                "ds.{name}"?: string;
                /** @description The moment, RFC 3339 or nanoseconds */
                at?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": unknown;
                };
            };
            /** @description This binary was built without it; the page says how to get it */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": unknown;
                };
            };
        };
    };
}
