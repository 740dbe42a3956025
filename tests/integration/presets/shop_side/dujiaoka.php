<?php
/*
 * A stand-in for dujiaoka, written from what is known of it: its completion code reads without a lock, refuses only
 * completed orders, compares the amount, and takes unsold cards as it finds them. Run with `php -S`.
 */

namespace Illuminate\Support {
    abstract class ServiceProvider
    {
        public function __construct(protected $app)
        {
        }
    }
}

namespace Illuminate\Support\Facades {
    class DB
    {
        private static $connection;

        public static function connection()
        {
            return self::$connection ??= \Illuminate\Database\Connection::open();
        }

        public static function __callStatic(string $name, array $arguments)
        {
            return self::connection()->$name(...$arguments);
        }
    }

    class Route
    {
        public static array $posts = [];

        public static function post(string $path, string $action): void
        {
            self::$posts[$path] = $action;
        }
    }
}

namespace Illuminate\Http {
    class Request
    {
        public function getContent(): string
        {
            return file_get_contents('php://input');
        }

        public function header(string $name)
        {
            return $_SERVER['HTTP_' . strtoupper(strtr($name, '-', '_'))] ?? null;
        }
    }
}

namespace App\Exceptions {
    class RuleValidationException extends \Exception
    {
    }
}

namespace App\Service {
    use App\Exceptions\RuleValidationException;
    use Illuminate\Support\Facades\DB;

    class OrderProcessService
    {
        public function completedOrder(string $orderSN, float $actualPrice, string $tradeNo = '')
        {
            DB::beginTransaction();
            try {
                $order = DB::selectOne('SELECT * FROM orders WHERE order_sn = ? AND deleted_at IS NULL', [$orderSN]);
                if (!$order || $order->status == 4) {
                    throw new \Exception('no such order, or completed');
                }
                if (number_format((float) $order->actual_price, 2) !== number_format($actualPrice, 2)) {
                    throw new \Exception('another amount');
                }
                gate('read');
                $order->type == 1 ? $this->automatic($order, $tradeNo) : $this->manual($order, $tradeNo);
                DB::affectingStatement(
                    'UPDATE goods SET sales_volume = sales_volume + ? WHERE id = ?',
                    [$order->buy_amount, $order->goods_id]
                );
                DB::commit();
            } catch (\Exception $problem) {
                DB::rollBack();
                throw new RuleValidationException($problem->getMessage());
            }
        }

        private function automatic($order, string $tradeNo): void
        {
            $cards = DB::select(
                'SELECT * FROM carmis WHERE goods_id = ? AND status = 1 ORDER BY id LIMIT ' . (int) $order->buy_amount,
                [$order->goods_id]
            );
            if (count($cards) != $order->buy_amount) {
                $this->save($order, 6, $tradeNo, 'out of cards');
                return;
            }
            $info = implode("\n", array_column($cards, 'carmi'));
            $this->save($order, 4, $tradeNo, $info);
            foreach ($cards as $card) {
                DB::affectingStatement('UPDATE carmis SET status = 2 WHERE id = ?', [$card->id]);
            }
            gate('moved');
            mailed($order->order_sn, $info);
        }

        private function manual($order, string $tradeNo): void
        {
            $this->save($order, 2, $tradeNo, $order->info);
            DB::affectingStatement(
                'UPDATE goods SET in_stock = in_stock - ? WHERE id = ?',
                [$order->buy_amount, $order->goods_id]
            );
            mailed($order->order_sn, 'to the administrator');
        }

        private function save($order, int $status, string $tradeNo, ?string $info): void
        {
            DB::affectingStatement(
                'UPDATE orders SET status = ?, trade_no = ?, info = ?, updated_at = NOW() WHERE id = ?',
                [$status, $tradeNo, $info, $order->id]
            );
        }
    }
}

namespace {
    require __DIR__ . '/framework.php';
    require getenv('SHOP_ENDPOINT');

    class Application
    {
        private array $made = [];

        public function make(string $class)
        {
            return new $class();
        }

        public function singleton(string $name, callable $make): void
        {
            $this->made[$name] = $make;
        }

        public function get(string $name)
        {
            return ($this->made[$name])();
        }
    }

    class Response
    {
        public function __construct(public array $content = [], public int $status = 200)
        {
        }

        public function json(array $content, int $status = 200): self
        {
            return new self($content, $status);
        }
    }

    $app = new Application();
    $app->singleton('Service\OrderProcessService', fn () => new App\Service\OrderProcessService());

    function app(string $name)
    {
        return $GLOBALS['app']->get($name);
    }

    function config(string $name)
    {
        return $name === 'reconciler.secret' ? getenv('SHOP_SECRET') : null;
    }

    function response(): Response
    {
        return new Response();
    }

    function report(\Throwable $problem): void
    {
        error_log($problem->getMessage());
    }

    function __(string $text): string
    {
        return $text;
    }

    $provider = new App\Providers\ReconcilerServiceProvider($app);
    if (getenv('SHOP_UNLOCKED') !== '1') {
        $provider->register();
    }
    $provider->boot();

    $path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
    if ($path === '/callback') {
        // the gateway's callback, its signature verified: what the shop's controllers do then
        try {
            app('Service\OrderProcessService')->completedOrder($_GET['no'], (float) $_GET['amount'], $_GET['trade']);
            answered(200, '"success"');
        } catch (\Exception $problem) {
            answered(200, json_encode('fail: ' . $problem->getMessage()));
        }
    } elseif (isset(Illuminate\Support\Facades\Route::$posts[$path]) && $_SERVER['REQUEST_METHOD'] === 'POST') {
        [$class, $method] = explode('@', Illuminate\Support\Facades\Route::$posts[$path]);
        $response = (new $class())->$method(new Illuminate\Http\Request());
        answered($response->status, json_encode($response->content));
    } else {
        answered(404, 'null');
    }
}
