// Express with its cors package, as people configure it: node server.js VARIANT. Says its port, and
// ends when its standard input does.
import cors from "cors";
import express from "express";

const page = "http://app.example.com";
const listed = cors({ origin: [page], credentials: true, exposedHeaders: ["x-request-id"] });
const session = (res) => res.cookie("sid", "1", { httpOnly: true, sameSite: "lax" });
const items = (req, res) => {
  session(res);
  res.set("x-request-id", "1").set("cache-control", "no-store").json([]);
};

const variants = {
  good(app) {
    app.use(listed);
    app.all("/items", items);
  },
  // The package's own default: a star.
  star(app) {
    app.use(cors());
    app.all("/items", items);
  },
  // The quick cure for the star.
  reflects(app) {
    app.use(cors({ origin: true, credentials: true }));
    app.all("/items", items);
  },
  // A pattern that is not anchored.
  pattern(app) {
    app.use(cors({ origin: /app.example.com/, credentials: true }));
    app.all("/items", items);
  },
  "auth-first"(app) {
    app.use((req, res, next) => (req.headers.authorization ? next() : res.status(401).end()));
    app.use(listed);
    app.all("/items", items);
  },
  // CORS on the routes alone: what matches none of them has no headers.
  "routes-only"(app) {
    app.all("/items", listed, items);
  },
  "to-login"(app) {
    app.use(listed);
    app.get("/items", (req, res) => res.redirect("/login?next=/items"));
    app.get("/login", (req, res) => res.type("html").send("<form>"));
  },
  // Somebody's own middleware beside the package.
  doubled(app) {
    app.use(listed);
    app.use((req, res, next) => {
      res.append("Access-Control-Allow-Origin", page);
      next();
    });
    app.all("/items", items);
  },
  "none-without-secure"(app) {
    app.use(listed);
    app.all("/items", (req, res) => {
      res.cookie("sid", "1", { sameSite: "none" }).set("cache-control", "no-store").json([]);
    });
  },
  // The headers by hand, for one origin, and the cache was not told.
  "no-vary"(app) {
    app.use((req, res, next) => {
      if (req.headers.origin === page) {
        res.set("Access-Control-Allow-Origin", page).set("Access-Control-Allow-Credentials", "true");
        res.set("Access-Control-Allow-Headers", "content-type");
      }
      req.method === "OPTIONS" ? res.sendStatus(204) : next();
    });
    app.all("/items", (req, res) => res.set("cache-control", "public, max-age=60").json([]));
  },
};

const app = express();
variants[process.argv[2]](app);
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
