<?php
/*
 * A stand-in for acg-faka, written from what is known of it: its callback reads the order in a serializable transaction,
 * refuses any that is paid, compares the amount, adds to the buyer's total, and delivers. Run with `php -S`.
 */

namespace Kernel\Annotation {
    #[\Attribute]
    class Inject
    {
    }
}

namespace Kernel\Exception {
    class JSONException extends \Exception
    {
    }
}

namespace Illuminate\Database\Capsule {
    class Manager
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
}

namespace App\Model {
    use Illuminate\Database\Capsule\Manager as DB;

    class Query
    {
        private string $lock = '';
        private array $where = ['1', null];

        public function __construct(private string $class)
        {
        }

        public function where(string $column, $value): self
        {
            $this->where = [$column, $value];
            return $this;
        }

        public function lockForUpdate(): self
        {
            $this->lock = ' FOR UPDATE';
            return $this;
        }

        public function first(): ?Model
        {
            [$column, $value] = $this->where;
            $table = $this->class::TABLE;
            $row = DB::selectOne("SELECT * FROM $table WHERE $column = ? LIMIT 1{$this->lock}", [$value]);
            return $row === null ? null : new $this->class((array) $row);
        }

        public function find($id): ?Model
        {
            return $this->where('id', $id)->first();
        }
    }

    abstract class Model
    {
        private array $changed = [];

        public function __construct(private array $values)
        {
        }

        public static function query(): Query
        {
            return new Query(static::class);
        }

        public function __get(string $name)
        {
            return $this->values[$name] ?? null;
        }

        public function __set(string $name, $value): void
        {
            $this->values[$name] = $this->changed[$name] = $value;
        }

        public function save(): void
        {
            $sets = implode(', ', array_map(fn ($name) => "`$name` = ?", array_keys($this->changed)));
            $values = [...array_values($this->changed), $this->values['id']];
            DB::affectingStatement('UPDATE ' . static::TABLE . " SET $sets WHERE id = ?", $values);
            $this->changed = [];
        }
    }

    class Order extends Model
    {
        const TABLE = 'acg_order';
    }

    class User extends Model
    {
        const TABLE = 'acg_user';
    }
}

namespace App\Service {
    use Illuminate\Database\Capsule\Manager as DB;
    use Kernel\Exception\JSONException;

    class Order
    {
        public function callback(string $tradeNo, string $amount): string
        {
            DB::connection()->getPdo()->exec('set session transaction isolation level serializable');
            DB::transaction(function () use ($tradeNo, $amount) {
                $order = \App\Model\Order::query()->where('trade_no', $tradeNo)->first();
                gate('read');
                if (!$order || $order->status != 0) {
                    throw new JSONException('duplicate');
                }
                if ($order->amount != $amount) {
                    throw new JSONException('amount');
                }
                if ($order->owner != 0 && $owner = \App\Model\User::query()->find($order->owner)) {
                    $owner->recharge = $owner->recharge + $order->amount;
                    $owner->save();
                }
                $this->orderSuccess($order);
            });
            return 'success';
        }

        public function orderSuccess(\App\Model\Order $order): string
        {
            $order->pay_time = date('Y-m-d H:i:s');
            $order->status = 1;
            $cards = DB::select(
                'SELECT * FROM acg_card WHERE commodity_id = ? AND status = 0 ORDER BY id LIMIT ' . (int) $order->card_num,
                [$order->commodity_id]
            );
            $order->secret = 'somebody was faster; ask us';
            if (count($cards) == $order->card_num) {
                $order->secret = implode("\n", array_column($cards, 'secret'));
                foreach ($cards as $card) {
                    DB::affectingStatement(
                        'UPDATE acg_card SET status = 1, order_id = ?, purchase_time = NOW() WHERE id = ?',
                        [$order->id, $card->id]
                    );
                }
            }
            $order->delivery_status = 1;
            $order->save();
            gate('moved');
            mailed($order->trade_no, $order->secret);
            return $order->secret;
        }
    }
}

namespace App\Controller\Base\API {
    abstract class User
    {
    }
}

namespace {
    define('BASE_PATH', getenv('SHOP_BASE'));
    require __DIR__ . '/framework.php';
    require getenv('SHOP_ENDPOINT');

    $path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
    if ($path === '/callback') {
        // the gateway's callback, its signature verified by the plug-in
        try {
            answered(200, json_encode((new App\Service\Order())->callback($_GET['no'], $_GET['amount'])));
        } catch (\Throwable $problem) {
            answered(200, json_encode('fail: ' . $problem->getMessage()));
        }
    } elseif ($path === '/user/api/reconciler/confirmed' && $_SERVER['REQUEST_METHOD'] === 'POST') {
        $controller = new App\Controller\User\Api\Reconciler();
        $injected = new ReflectionProperty($controller, 'order');
        $injected->setAccessible(true);
        $injected->setValue($controller, new App\Service\Order());
        $body = $controller->confirmed();
        answered(http_response_code(), $body);
    } else {
        answered(404, 'null');
    }
}
